// Context: what TLS connections share: certificates, whom to trust, protocols, and the sessions to resume.
//
//   absl::StatusOr<tls::Context> context = tls::Context::Server(
//       {.certificate = tls::Pem::File("server.pem"), .key = tls::Pem::File("server.key"), .alpn = {"http/1.1"}});
//   if (!context.ok()) co_return context.status();
//   ...
//   absl::StatusOr<tls::Stream> stream = co_await tls::Server(*std::move(accepted), *context);   // weft/tls/stream.h
//
// Make one at the start, and keep it: making one reads files and parses certificates, on the calling thread, and a
// client's sessions are resumed only by connections of the same Context. Copies are cheap and are the same Context. Any
// number of threads may use one at once. It never changes; to renew a certificate, make another, and use that from then
// on.
//
// Errors of both makers: kInvalidArgument with OpenSSL's reason, for what is no certificate or no key, for a key that
// does not belong to the certificate, and for a key that needs a passphrase; for a file that cannot be read, the status
// of its errno (kNotFound, ENOENT). Each names the file. Also kInvalidArgument for a Pem that is given and empty, like
// that of a flag which nobody has set: it must not turn mutual TLS off unseen.
//
// Defaults are the strict ones: a client verifies its server; renegotiation, compression and early data (0-RTT, which
// an attacker can send again) are off. Cipher suites and curves are those of the system's OpenSSL, in its security
// level.
#ifndef WEFT_TLS_CONTEXT_H_
#define WEFT_TLS_CONTEXT_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace weft {

namespace internal {
struct TlsContext;
class TlsEngine;
}  // namespace internal

namespace tls {

struct ClientContextOptions;
struct ServerContextOptions;

// (lib/tls/context.cc)
class Context {
 public:
  static absl::StatusOr<Context> Client(ClientContextOptions options);
  static absl::StatusOr<Context> Server(ServerContextOptions options);

  // The Context of clients that name none: Client({}), made by the first call, which all later ones share.
  static const absl::StatusOr<Context>& DefaultClient();

 private:
  friend class internal::TlsEngine;
  friend struct internal::TlsContext;
  explicit Context(std::shared_ptr<const internal::TlsContext> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<const internal::TlsContext> state_;
};

// Certificates or a key in PEM format, in a file or in a text. By default not given.
class Pem {
 public:
  Pem() = default;
  static Pem File(std::string path) { return Pem(std::move(path), {}); }
  static Pem Text(std::string text) { return Pem({}, std::move(text)); }

  // File("") and Text("") are given.
  bool given() const noexcept { return given_; }
  // One of the two is empty.
  const std::string& path() const noexcept { return path_; }
  const std::string& text() const noexcept { return text_; }

 private:
  Pem(std::string path, std::string text) : given_(true), path_(std::move(path)), text_(std::move(text)) {}

  bool given_ = false;
  std::string path_;
  std::string text_;
};

enum class Version : uint8_t { kTls12, kTls13 };

struct ClientContextOptions {
  // The authorities to trust, in place of the system's. OpenSSL looks for the system's when it needs one, by a read of
  // a file (/usr/lib/ssl/certs) during the handshake.
  Pem authorities = {};
  // Without verification anybody can be the server: the connection is encrypted, and that is all.
  bool verify = true;
  // Protocols, the most wanted first; each has 1 to 255 bytes. What the server chose: Stream::alpn().
  std::vector<std::string> alpn = {};
  // For servers that ask for one: the certificate, then those between it and the authority; and its key.
  Pem certificate = {};
  Pem key = {};
  Version min_version = Version::kTls12;
  Version max_version = Version::kTls13;
  // For how many hosts sessions are kept, up to 4 for each. 0: none are resumed.
  size_t max_session_hosts = 1024;
  // An end of the transport without the peer's close_notify counts as its end, and Read() returns 0. Whoever is between
  // the two can then cut off what the peer says. For protocols that tell the length of all they send, and peers that
  // leave the close_notify out.
  bool tolerate_truncation = false;
};

struct ServerContextOptions {
  // Needed: the certificate, then those between it and the authority; and its key.
  Pem certificate = {};
  Pem key = {};
  // Protocols, the most wanted first. A client that offers protocols, of which none is among these, is refused
  // (no_application_protocol). One that offers none is served. Empty: what clients offer is ignored.
  std::vector<std::string> alpn = {};
  // Mutual TLS: a client needs a certificate of one of these authorities. Not given: clients are asked for none.
  Pem client_authorities = {};
  Version min_version = Version::kTls12;
  Version max_version = Version::kTls13;
  // Clients may resume sessions, while their certificates are valid, if they need one, and for a week at most. The keys
  // of the tickets are the Context's own, so that another server, or the same program started again, makes a full
  // handshake.
  bool resume_sessions = true;
  bool tolerate_truncation = false;  // as for clients
  // For clients that ask for one of these host names (SNI, without regard to case), the certificate, the key and the
  // protocols are those of another server's Context, which must have no client_authorities; everything else is of this
  // one. Other names get this one.
  std::vector<std::pair<std::string, Context>> names = {};
};

}  // namespace tls
}  // namespace weft

#endif  // WEFT_TLS_CONTEXT_H_
