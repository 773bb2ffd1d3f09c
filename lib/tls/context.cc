#include "weft/tls/context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/tls/context_state.h"
#include "lib/tls/engine.h"
#include "lib/tls/openssl.h"
#include "lib/tls/resumption.h"

namespace weft::internal {
namespace {

using tls::Pem;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
// Sessions are of one kind of server. Without a name OpenSSL resumes none that has a client's certificate.
constexpr unsigned char kSessionKind[] = {'w', 'e', 'f', 't'};

std::string Describe(absl::string_view what, const Pem& pem) {
  return pem.path().empty() ? std::string(what) : absl::StrCat(what, " ", pem.path());
}

absl::StatusOr<BioPtr> Open(const Pem& pem, absl::string_view what) {
  OpenSslErrors::Clear();
  if (!pem.given()) return absl::InvalidArgumentError(absl::StrCat(what, ": not given"));
  if (pem.path().empty() && pem.text().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": a Pem that is empty"));
  }
  if (pem.text().size() > size_t{std::numeric_limits<int>::max()}) return absl::InvalidArgumentError("PEM: too long");
  BioPtr opened(pem.path().empty() ? BIO_new_mem_buf(pem.text().data(), static_cast<int>(pem.text().size()))
                                   : BIO_new_file(pem.path().c_str(), "r"));
  if (!opened) return OpenSslErrors::Take().ToStatus(kInvalid, Describe(what, pem));
  return opened;
}

// Instead of asking for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) noexcept { return -1; }

// All certificates of `pem`; at least one.
absl::StatusOr<std::vector<CertificatePtr>> ReadCertificates(const Pem& pem, absl::string_view what) {
  absl::StatusOr<BioPtr> from = Open(pem, what);
  if (!from.ok()) return from.status();
  std::vector<CertificatePtr> all;
  for (;;) {
    CertificatePtr next(PEM_read_bio_X509(from->get(), nullptr, NoPassphrase, nullptr));
    if (next) {
      all.push_back(std::move(next));
      continue;
    }
    const OpenSslErrors errors = OpenSslErrors::Take();
    const bool end = ERR_GET_LIB(errors.first) == ERR_LIB_PEM && ERR_GET_REASON(errors.first) == PEM_R_NO_START_LINE;
    if (end && !all.empty()) return all;
    return errors.ToStatus(kInvalid, Describe(what, pem));
  }
}

int ProtocolVersion(tls::Version version) noexcept {
  return version == tls::Version::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

// A server's choice of the protocol.
int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                   unsigned int offered_length, void* context) noexcept {
  const std::string& ours = static_cast<const TlsContext*>(context)->protocols;
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, length, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned int>(ours.size()), offered,
                            offered_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

int OnNewTicket(SSL* ssl, void*) noexcept {
  LimitResumption(ssl);
  return 1;
}

SSL_TICKET_RETURN OnTicket(SSL*, SSL_SESSION* session, const unsigned char*, size_t, SSL_TICKET_STATUS status,
                           void*) noexcept {
  const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  // The full handshake that follows yields another one.
  if (!opened || !MayBeResumed(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int ChooseByName(SSL* ssl, int*, void* context) noexcept {
  const char* host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (host == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const auto& own = *static_cast<const TlsContext*>(context);
  SSL_CTX* const named = own.Named(host);
  if (named == nullptr) return SSL_TLSEXT_ERR_OK;
  if (SSL_set_SSL_CTX(ssl, named) == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  if (!own.verify) return SSL_TLSEXT_ERR_OK;
  // The authorities that clients need would be the other context's as well.
  STACK_OF(X509_NAME)* const names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(own.ssl.get()));
  SSL_set_client_CA_list(ssl, names);
  const bool kept = names != nullptr && SSL_set1_verify_cert_store(ssl, SSL_CTX_get_cert_store(own.ssl.get())) == 1;
  return kept ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

absl::Status TlsContext::Begin(tls::Version min_version, tls::Version max_version) {
  OpenSslErrors::Clear();
  if (min_version > max_version) return absl::InvalidArgumentError("TLS: min_version is above max_version");
  ssl.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (!ssl || SSL_CTX_set_min_proto_version(ssl.get(), ProtocolVersion(min_version)) != 1 ||
      SSL_CTX_set_max_proto_version(ssl.get(), ProtocolVersion(max_version)) != 1) {
    return OpenSslErrors::Take().ToStatus(kInvalid, "TLS context");
  }
  // A write of a connection then never waits for the peer, except in the middle of a message of its handshake.
  SSL_CTX_set_options(ssl.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // OpenSSL's own limit, on the system's clock: by default two hours after the last connection.
  SSL_CTX_set_timeout(ssl.get(), kLongestResumptionSeconds);
  SSL_CTX_set_mode(ssl.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return absl::OkStatus();
}

absl::Status TlsContext::TakeIdentity(const Pem& certificate, const Pem& key) {
  absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificates(certificate, "certificate");
  if (!chain.ok()) return chain.status();
  absl::StatusOr<BioPtr> from = Open(key, "key");
  if (!from.ok()) return from.status();
  const KeyPtr private_key(PEM_read_bio_PrivateKey(from->get(), nullptr, NoPassphrase, nullptr));
  if (!private_key) return OpenSslErrors::Take().ToStatus(kInvalid, Describe("key", key));

  OpenSslErrors::Clear();
  bool taken = SSL_CTX_use_certificate(ssl.get(), chain->front().get()) == 1;
  for (size_t i = 1; i < chain->size() && taken; ++i) {
    taken = SSL_CTX_add0_chain_cert(ssl.get(), (*chain)[i].get()) == 1;
    if (taken) static_cast<void>((*chain)[i].release());
  }
  if (!taken) return OpenSslErrors::Take().ToStatus(kInvalid, Describe("certificate", certificate));
  if (SSL_CTX_use_PrivateKey(ssl.get(), private_key.get()) != 1 || SSL_CTX_check_private_key(ssl.get()) != 1) {
    return OpenSslErrors::Take().ToStatus(kInvalid, Describe("key", key));
  }
  return absl::OkStatus();
}

absl::Status TlsContext::TakeAuthorities(const Pem& authorities) {
  const absl::string_view what = server ? "client_authorities" : "authorities";
  absl::StatusOr<std::vector<CertificatePtr>> all = ReadCertificates(authorities, what);
  if (!all.ok()) return all.status();
  OpenSslErrors::Clear();
  // Whoever names an authority trusts it, whoever has signed it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl.get()), X509_V_FLAG_PARTIAL_CHAIN);
  for (const CertificatePtr& authority : *all) {
    // A server tells its clients the names of these.
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl.get()), authority.get()) != 1 ||
        (server && SSL_CTX_add_client_CA(ssl.get(), authority.get()) != 1)) {
      return OpenSslErrors::Take().ToStatus(kInvalid, Describe(what, authorities));
    }
  }
  return absl::OkStatus();
}

absl::Status TlsContext::TakeProtocols(const std::vector<std::string>& names_of_protocols) {
  for (const std::string& name : names_of_protocols) {
    if (name.empty() || name.size() > 255) {
      return absl::InvalidArgumentError("ALPN: the name of a protocol has 1 to 255 bytes");
    }
    protocols.push_back(static_cast<char>(name.size()));
    protocols.append(name);
  }
  if (protocols.size() > 65535) return absl::InvalidArgumentError("ALPN: more than 65,535 bytes of protocols");
  if (protocols.empty()) return absl::OkStatus();
  if (server) {
    SSL_CTX_set_alpn_select_cb(ssl.get(), ChooseProtocol, this);
    return absl::OkStatus();
  }
  OpenSslErrors::Clear();
  // It returns 0 if it succeeds.
  if (SSL_CTX_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned int>(protocols.size())) != 0) {
    return OpenSslErrors::Take().ToStatus(kInvalid, "ALPN");
  }
  return absl::OkStatus();
}

SSL_CTX* TlsContext::Named(const char* host) const {
  for (const auto& [name, context] : names) {
    if (absl::EqualsIgnoreCase(name, host)) return context.state_->ssl.get();
  }
  return nullptr;
}

}  // namespace weft::internal

namespace weft::tls {

using internal::OpenSslErrors;
using internal::TlsContext;

absl::StatusOr<Context> Context::Client(ClientContextOptions options) {
  auto state = std::make_shared<TlsContext>(/*server=*/false, options.verify, options.tolerate_truncation,
                                            options.max_session_hosts);
  if (absl::Status begun = state->Begin(options.min_version, options.max_version); !begun.ok()) return begun;
  SSL_CTX* const ssl = state->ssl.get();
  if (options.authorities.given()) {
    if (absl::Status taken = state->TakeAuthorities(options.authorities); !taken.ok()) return taken;
  } else if (options.verify && SSL_CTX_set_default_verify_paths(ssl) != 1) {
    return OpenSslErrors::Take().ToStatus(absl::StatusCode::kInvalidArgument, "the system's authorities");
  }
  if (options.certificate.given() || options.key.given()) {
    if (absl::Status taken = state->TakeIdentity(options.certificate, options.key); !taken.ok()) return taken;
  }
  if (absl::Status taken = state->TakeProtocols(options.alpn); !taken.ok()) return taken;
  SSL_CTX_set_verify(ssl, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl, internal::TlsEngine::OnNewSession);
  return Context(std::move(state));
}

absl::StatusOr<Context> Context::Server(ServerContextOptions options) {
  auto state = std::make_shared<TlsContext>(/*server=*/true, options.client_authorities.given(),
                                            options.tolerate_truncation, /*max_session_hosts=*/0);
  if (absl::Status begun = state->Begin(options.min_version, options.max_version); !begun.ok()) return begun;
  SSL_CTX* const ssl = state->ssl.get();
  if (absl::Status taken = state->TakeIdentity(options.certificate, options.key); !taken.ok()) return taken;
  if (absl::Status taken = state->TakeProtocols(options.alpn); !taken.ok()) return taken;
  if (state->verify) {
    if (absl::Status taken = state->TakeAuthorities(options.client_authorities); !taken.ok()) return taken;
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  for (const auto& [name, context] : options.names) {
    if (!context.state_->server) {
      return absl::InvalidArgumentError(absl::StrCat("names: ", name, " has a client's Context"));
    }
    if (context.state_->verify) {
      return absl::InvalidArgumentError(
          absl::StrCat("names: ", name, " has client_authorities; those of the Context that has the names count"));
    }
  }
  state->names = std::move(options.names);
  // Also without names: OpenSSL remembers the host name of a session only if somebody has accepted it.
  SSL_CTX_set_tlsext_servername_callback(ssl, internal::ChooseByName);
  SSL_CTX_set_tlsext_servername_arg(ssl, state.get());
  SSL_CTX_set_session_id_context(ssl, internal::kSessionKind, sizeof(internal::kSessionKind));
  // Tickets, which the client keeps; a server keeps nothing.
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_ticket_cb(ssl, internal::OnNewTicket, internal::OnTicket, nullptr);
  if (!options.resume_sessions) {
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ssl, 0);
  }
  return Context(std::move(state));
}

const absl::StatusOr<Context>& Context::DefaultClient() {
  static const absl::StatusOr<Context>* const context = new absl::StatusOr<Context>(Client({}));
  return *context;
}

}  // namespace weft::tls
