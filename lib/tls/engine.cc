#include "lib/tls/engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/tls/byte_queue.h"
#include "lib/tls/certificate.h"
#include "lib/tls/context_state.h"
#include "lib/tls/openssl.h"
#include "lib/tls/resumption.h"
#include "weft/internal/lock.h"
#include "weft/io/buffer.h"
#include "weft/tls/context.h"

namespace weft::internal {
namespace {

using Step = TlsEngine::Step;
using Next = TlsEngine::Step::Next;

Step Failed(absl::Status status) { return {.next = Next::kFailed, .status = std::move(status)}; }

bool IsAddress(const std::string& host) {
  in6_addr address;
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// The alerts about the certificate of the side that gets them (RFC 8446, 6.2).
bool IsAboutCertificate(int alert, bool has_one) noexcept {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case TLS13_AD_CERTIFICATE_REQUIRED:
      return true;
    case SSL_AD_DECRYPT_ERROR:
      // A signature in its chain, or by its key. Without one: the handshake was changed on its way.
      return has_one;
    default:
      return false;
  }
}

// The alerts of a peer that found nothing in common.
bool IsAboutChoice(int alert) noexcept {
  return alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_PROTOCOL_VERSION ||
         alert == SSL_AD_INSUFFICIENT_SECURITY || alert == SSL_AD_NO_APPLICATION_PROTOCOL;
}

}  // namespace

// ---- Making one.

TlsEngine::TlsEngine(std::shared_ptr<const TlsContext> context, std::string host) noexcept
    : context_(std::move(context)), host_(std::move(host)) {}

absl::StatusOr<std::unique_ptr<TlsEngine>> TlsEngine::Client(const tls::Context& context, std::string host) {
  if (context.state_->server) return absl::InvalidArgumentError("tls::Client() with a server's Context");
  if (host.find('\0') != std::string::npos) return absl::InvalidArgumentError("TLS: a zero byte in the host name");
  // The name of the root: "db.internal." is the same host, and no certificate spells it so.
  if (host.size() > 1 && host.back() == '.') host.pop_back();
  if (host.empty() && context.state_->verify) {
    return absl::InvalidArgumentError("TLS: the server cannot be verified without the host name that it should have");
  }
  return Make(context.state_, std::move(host));
}

absl::StatusOr<std::unique_ptr<TlsEngine>> TlsEngine::Server(const tls::Context& context) {
  if (!context.state_->server) return absl::InvalidArgumentError("tls::Server() with a client's Context");
  return Make(context.state_, {});
}

absl::StatusOr<std::unique_ptr<TlsEngine>> TlsEngine::Make(std::shared_ptr<const TlsContext> context,
                                                           std::string host) {
  std::unique_ptr<TlsEngine> engine(new TlsEngine(std::move(context), std::move(host)));
  OpenSslErrors::Clear();
  engine->ssl_.reset(SSL_new(engine->context_->ssl.get()));
  BioPtr input = BioOf(engine->input_);
  BioPtr output = BioOf(engine->output_);
  if (!engine->ssl_ || !input || !output) {
    return OpenSslErrors::Take().ToStatus(absl::StatusCode::kResourceExhausted, "TLS");
  }
  SSL* const ssl = engine->ssl_.get();
  SSL_set_bio(ssl, input.release(), output.release());
  SSL_set_app_data(ssl, engine.get());
  if (engine->context_->server) {
    SSL_set_accept_state(ssl);
    return engine;
  }
  SSL_set_connect_state(ssl);
  if (absl::Status named = engine->NameHost(); !named.ok()) return named;
  const SessionPtr session = engine->context_->sessions.Take(engine->host_);
  if (session && MayBeResumed(session.get())) {
    // One that does not fit is no error: the handshake is a full one.
    SSL_set_session(ssl, session.get());
    OpenSslErrors::Clear();
  }
  return engine;
}

absl::Status TlsEngine::NameHost() {
  if (host_.empty()) return absl::OkStatus();
  X509_VERIFY_PARAM* const verification = SSL_get0_param(ssl_.get());
  bool named;
  if (IsAddress(host_)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(verification, host_.c_str()) == 1;
  } else {
    // To OpenSSL it would be a name for all below it.
    if (host_.front() == '.') return absl::InvalidArgumentError(absl::StrCat("TLS host ", host_, " is no name"));
    // Only the names that are meant for it count, not the subject. (RFC 9525, section 2)
    X509_VERIFY_PARAM_set_hostflags(verification,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    named = X509_VERIFY_PARAM_set1_host(verification, host_.data(), host_.size()) == 1 &&
            SSL_set_tlsext_host_name(ssl_.get(), host_.c_str()) == 1;
  }
  if (named) return absl::OkStatus();
  return OpenSslErrors::Take().ToStatus(absl::StatusCode::kInvalidArgument, absl::StrCat("TLS host ", host_));
}

TlsEngine::~TlsEngine() {
  // OpenSSL would spoil the sessions of a connection that ends without close_notify, a rule that TLS 1.1 has dropped
  // (RFC 4346, 7.2.1). Those of one that failed are spoilt in any case.
  if (ssl_ && failure_.ok()) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

// ---- Steps.

Step TlsEngine::Handshake() {
  return Make("TLS handshake", [this](SSL* ssl, size_t&) {
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), TlsNowSeconds());
    const int result = SSL_do_handshake(ssl);
    // A server's is limited before it goes into a ticket (context.cc).
    if (result == 1 && !established_ && !context_->server) LimitResumption(ssl);
    established_ = result == 1;
    return result;
  });
}

Step TlsEngine::Read(MutableBuffer into) {
  Step step = Make("TLS read", [this, into](SSL* ssl, size_t& bytes) {
    const size_t before = output_.size();
    const int result = SSL_read_ex(ssl, into.data(), into.size(), &bytes);
    unsent_answers_ += output_.size() - before;
    if (result != 1 && unsent_answers_ > kMaxUnsentAnswers) {
      failure_ = absl::ResourceExhaustedError(absl::StrCat("TLS read: ", Peer(), " asks for answers and reads none"));
    }
    return result;
  });
  if (step.next == Next::kCutOff && context_->tolerate_truncation) step.next = Next::kEnd;
  return step;
}

Step TlsEngine::Write(ConstBuffer from) {
  return Make("TLS write",
              [from](SSL* ssl, size_t& bytes) { return SSL_write_ex(ssl, from.data(), from.size(), &bytes); });
}

Step TlsEngine::ShutdownWrite() {
  return Make("TLS close_notify", [](SSL* ssl, size_t&) {
    // A second call would wait for the peer's.
    if ((SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) != 0) return 1;
    // In the middle of a message OpenSSL refuses; this asks for the rest of the message.
    if (SSL_in_init(ssl) != 0) {
      const int result = SSL_do_handshake(ssl);
      if (result != 1) return result;
    }
    // 0: sent, and the peer's has not come yet.
    return SSL_shutdown(ssl) >= 0 ? 1 : -1;
  });
}

template <class Call>
Step TlsEngine::Make(absl::string_view what, Call call) {
  Step step;
  {
    const LockGuard guard(lock_);
    step = MakeLocked(what, call);
    step.fed = fed_;
    step.answers_unread = unsent_answers_ > kMaxUnsentAnswers;
    if (new_session_count_ == 0) return step;
  }
  KeepNewSessions();
  return step;
}

template <class Call>
Step TlsEngine::MakeLocked(absl::string_view what, Call& call) {
  if (closed_) return Failed(internal::ErrnoToStatus(EBADF, absl::StrCat(what, " on a stream that was closed here")));
  if (!failure_.ok()) return Failed(failure_);
  OpenSslErrors::Clear();
  size_t bytes = 0;
  const int result = call(ssl_.get(), bytes);
  const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
  switch (error) {
    case SSL_ERROR_NONE:
      return {.next = Next::kDone, .bytes = bytes};
    case SSL_ERROR_ZERO_RETURN:
      return {.next = Next::kEnd,
              .status = absl::UnavailableError(absl::StrCat(what, ": ", Peer(), " ended the handshake"))};
    case SSL_ERROR_WANT_READ:
      if (!failure_.ok()) return Failed(failure_);
      if (!input_ended_) return {.next = Next::kNeedsInput};
      return {.next = Next::kCutOff, .status = CutOffLocked(what)};
    default:
      failure_ = FailureLocked(what);
      return Failed(failure_);
  }
}

absl::Status TlsEngine::CutOffLocked(absl::string_view what) const {
  if (established_) {
    return absl::DataLossError(
        absl::StrCat(what, ": truncated: ", Peer(), " ended the connection without close_notify"));
  }
  return absl::UnavailableError(absl::StrCat(what, ": ", Peer(), " closed the connection"));
}

absl::Status TlsEngine::FailureLocked(absl::string_view what) {
  const OpenSslErrors errors = OpenSslErrors::Take();
  const std::string where = absl::StrCat(what, " with ", Peer());
  // To libssl a certificate is refused also if the system has kept it from verifying that.
  if (errors.first_of_tls != 0 && !errors.OfSystem()) {
    const int reason = ERR_GET_REASON(errors.first_of_tls);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
      const char* why = X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()));
      return absl::UnauthenticatedError(absl::StrCat(where, ": ", errors.text, ": ", why));
    }
    // The second: the peer has not the key of the certificate.
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE || reason == SSL_R_BAD_SIGNATURE) {
      return absl::UnauthenticatedError(absl::StrCat(where, ": ", errors.text));
    }
    if (reason >= SSL_AD_REASON_OFFSET) {
      const int alert = reason - SSL_AD_REASON_OFFSET;
      const bool has_certificate = SSL_get_certificate(ssl_.get()) != nullptr;
      const auto code = IsAboutCertificate(alert, has_certificate) ? absl::StatusCode::kUnauthenticated
                        : !established_ && IsAboutChoice(alert)    ? absl::StatusCode::kFailedPrecondition
                                                                   : absl::StatusCode::kUnavailable;
      return absl::Status(code, absl::StrCat(where, ": an alert of the peer: ", SSL_alert_desc_string_long(alert)));
    }
  }
  return errors.ToStatus(!established_ ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kDataLoss, where);
}

std::string TlsEngine::Peer() const {
  if (context_->server) return "a client";
  return host_.empty() ? "a server" : host_;
}

void TlsEngine::Close() noexcept {
  const LockGuard guard(lock_);
  closed_ = true;
}

// ---- What comes from the peer, and goes to it.

absl::Status TlsEngine::Feed(ByteQueue& from_peer) {
  const LockGuard guard(lock_);
  ++fed_;
  if (input_.empty()) {
    input_.Swap(from_peer);
  } else if (!input_.Append(from_peer.bytes())) {
    // A part of the stream is missing from here on.
    failure_ = absl::ResourceExhaustedError("TLS: no memory for what was read");
    return failure_;
  }
  from_peer.Free();
  return absl::OkStatus();
}

void TlsEngine::FeedEnd() noexcept {
  const LockGuard guard(lock_);
  ++fed_;
  input_ended_ = true;
}

uint64_t TlsEngine::fed() const noexcept {
  const LockGuard guard(lock_);
  return fed_;
}

void TlsEngine::ExpectOutput(size_t bytes) noexcept {
  const LockGuard guard(lock_);
  static_cast<void>(output_.Room(bytes));
}

void TlsEngine::SwapOutput(ByteQueue& taken) noexcept {
  const LockGuard guard(lock_);
  output_.Swap(taken);
  unsent_answers_ = 0;
}

void TlsEngine::ForgetOutput() noexcept {
  const LockGuard guard(lock_);
  if (output_.empty()) output_.Free();
}

// ---- Sessions, and what was agreed on.

int TlsEngine::OnNewSession(SSL* ssl, SSL_SESSION* session) noexcept {
  TlsEngine& self = *static_cast<TlsEngine*>(SSL_get_app_data(ssl));
  // Into the cache after the call: that allocates, and OpenSSL, which is C, must not be left by an exception.
  if (self.new_session_count_ == kMaxNewSessions) return 0;
  self.new_sessions_[self.new_session_count_++].reset(session);
  return 1;
}

void TlsEngine::KeepNewSessions() {
  std::array<SessionPtr, kMaxNewSessions> sessions;
  {
    const LockGuard guard(lock_);
    sessions.swap(new_sessions_);
    new_session_count_ = 0;
  }
#if WEFT_EXCEPTIONS
  try {
#endif
    for (SessionPtr& session : sessions) {
      if (session && SSL_SESSION_is_resumable(session.get()) == 1) context_->sessions.Put(host_, std::move(session));
    }
#if WEFT_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    // The next connection makes a full handshake. What this step has read is not lost for that.
  }
#endif
}

TlsFacts TlsEngine::Facts() {
  const LockGuard guard(lock_);
  SSL* const ssl = ssl_.get();
  TlsFacts facts;
  facts.version = SSL_get_version(ssl);
  facts.cipher = SSL_get_cipher_name(ssl);
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &length);
  facts.alpn.assign(reinterpret_cast<const char*>(protocol), length);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) facts.server_name = name;
  facts.resumed = SSL_session_reused(ssl) == 1;
  if (const CertificatePtr certificate{SSL_get1_peer_certificate(ssl)}) {
    facts.peer_certificate = Describe(certificate.get());
  }
  OpenSslErrors::Clear();
  return facts;
}

}  // namespace weft::internal
