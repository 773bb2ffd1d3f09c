// TLS over any stream, by OpenSSL 3: Client(), Server(), and the Stream that both yield.
//
//   absl::StatusOr<tls::Stream> secure = co_await tls::Client(std::move(*stream), {.host = "db.internal"});
//   if (!secure.ok()) co_return secure.status();   // kUnauthenticated: ... hostname mismatch
//   if (absl::Status sent = co_await secure->Write("ping"); !sent.ok()) co_return sent;
//   char buffer[64];
//   absl::StatusOr<size_t> got = co_await secure->Read(buffer);   // 0: the peer has finished, and has said so
//   ...
//   absl::Status ended = co_await secure->ShutdownWrite();        // or the peer finds the stream cut off
//
// In a target of its own, //:weft_tls: programs that do not use it do not link OpenSSL.
//
// A client verifies its server unless its Context says otherwise: the certificate is valid now, comes from an authority
// that the Context trusts, and is for the host. The host is also what the server is told (SNI), and the name under
// which sessions are kept: the next connection to it resumes one, which is a shorter handshake. A server's tickets of
// TLS 1.3 come behind the handshake, so only a client that reads gets them. Only a full handshake verifies. So there is
// one, whichever side needs it, once a certificate that was verified for the session, or its authority's, has expired,
// and at the latest a week after the last one.
//
// In a simulation, "now" is its wall clock's: certificates of today are not valid yet in 2020, where it begins, so set
// it. OpenSSL's random numbers come from no seed, so two runs under one seed may differ.
//
// One virtual thread may read while another writes, for instance with a half of it each (io/split.h). Two threads must
// not read at the same time; of writes, each goes out whole, one after the other.
//
// Closing. ShutdownWrite() tells the peer that nothing more will be written (close_notify), and ends the transport's
// writing direction; reading goes on. (With TLS 1.2, many peers answer by closing both directions.) If the transport
// ends without the peer's close_notify, Read() returns kDataLoss: somebody may have cut it off. Close(), the destructor
// and a move onto the stream close the transport at once, and send nothing. So after ShutdownWrite(), read to the end
// before closing, also if nothing is expected: a socket that is closed with something unread, such as the tickets of a
// server, resets the connection, and the peer may lose what it has not read yet.
//
// Lifetime. It can be moved, also while operations are pending, which go on. Buffers must stay until the operation has
// ended. Any thread may Close() a stream that others use, if the transport allows that: its pending operations end as
// the transport says, and later ones with io::IsClosed(). The transport is destroyed after the last operation.
//
// Errors are absl::Status with OpenSSL's reason. kUnauthenticated: a certificate is refused, by this side or, as its
// alert says, by the peer. kFailedPrecondition: the two sides have no version, cipher suite or protocol in common, or
// the peer does not speak TLS. kUnavailable: the peer ended the handshake, or sent another alert. kDataLoss: the stream
// was cut off or tampered with. kResourceExhausted: no memory, or a peer that asks for answers and reads none.
// Authorities that cannot be read: by errno, for example kResourceExhausted without a descriptor. The transport's own
// errors are passed on. A Read(), a Write() or a handshake that fails tells the peer why (an alert; not that last one),
// behind a write that is under way, and waits for 5 s at most until the transport has taken that.
//
// Cancellation: every operation is a checkpoint. A Read() that is cancelled has lost nothing. A Write() that is
// cancelled as it begins, or while it waits for an earlier one, has sent nothing. Once it has begun to send, also if
// the transport has taken no byte yet, the stream can no longer be written, as nobody knows what the peer has: further
// writes fail with kFailedPrecondition, which says so, and reading goes on. The same holds for ShutdownWrite(), and
// after an exception. Client() and Server() can be cancelled at any point, and destroy the transport, which closes it.
//
// Cost. A handshake computes on the carrier, in a few parts between which others run: one or two signatures (0.25 ms
// with RSA-2048, 20 us with P-256), their verifications (20 and 60 us), and a key exchange (30 us); a resumed one only
// the last. Up to 16 KiB are encrypted at a time, for 4 us (AES-128-GCM), and up to 64 KiB before they are sent. (The
// figures are those of `openssl speed`, on the machine of benchmarks/RESULTS.md.) A Read() that finds something
// allocates the frame of one coroutine, from the frame cache; one that waits those of three, as a Write() does. A
// connection that waits for its peer has a buffer of 18 KiB, one that writes up to 65 KiB, beside OpenSSL's own, which
// OpenSSL gives back when they are empty.
//
// The design: OpenSSL reads and writes memory only. Its calls are made under a lock that is never held over a
// suspension, and its errors, which it keeps for each OS thread, are taken before the call returns. Rejected: OpenSSL
// on the descriptor itself, which knows neither the driver nor other transports; a Read() that sends answers to the
// peer's KeyUpdate, because its cancellation would break the writing direction, and the protocol asks for the answer
// only before the next data (RFC 8446, 4.6.3). (Go's crypto/tls.Conn; the BIO pairs of OpenSSL's manual.)
#ifndef WEFT_TLS_STREAM_H_
#define WEFT_TLS_STREAM_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/io/buffer.h"
#include "weft/task.h"
#include "weft/tls/context.h"
#include "weft/tls/transport.h"

namespace weft {

namespace internal {
class TlsConnection;
}  // namespace internal

namespace tls {

class Stream;

struct ClientOptions {
  // A DNS name, or a numeric address, which is then what the certificate has to be for; a server is told names only.
  // kInvalidArgument if it is empty although the Context verifies.
  std::string host = {};
  std::optional<Context> context = {};  // default: Context::DefaultClient()
};

// Makes a connection out of a transport, as its client: both sides have agreed, and the server is verified. (With TLS
// 1.3 the server looks at the client's certificate after that: if it is refused, the first Read() says so.)
template <Transport T>
[[nodiscard("co_await it")]] Task<absl::StatusOr<Stream>> Client(T transport, ClientOptions options);

// The same as its server. A limit of time is the caller's: WithTimeout().
template <Transport T>
[[nodiscard("co_await it")]] Task<absl::StatusOr<Stream>> Server(T transport, Context context);

// What a certificate says. Of a peer that was not verified it is what the peer claims.
struct Certificate {
  std::string subject;             // "CN=db.internal,O=Weft" (RFC 2253)
  std::string issuer;              // same
  std::vector<std::string> names;  // DNS names and addresses, as text, for which it is valid
  std::vector<std::string> uris;   // URIs for which it is valid: "spiffe://weft/db"
  absl::Time not_before;           // in whole seconds; 1970 if it is malformed
  absl::Time not_after;            // same; from then on it is refused
  std::string sha256;              // of the whole certificate: 64 hexadecimal digits, in lower case; empty: no memory
};

// (lib/tls/stream.cc)
class Stream {
 public:
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept;  // closes what it had
  ~Stream();

  // Reads what there is: at least one byte, up to buffer.size(). Returns the number of bytes, or 0 after the peer's
  // close_notify. With an empty buffer it returns 0 at once, which says nothing about the stream.
  Task<absl::StatusOr<size_t>> Read(MutableBuffer buffer);

  // Writes all of `data`, which must stay until the Task has ended. Writing nothing sends nothing.
  Task<absl::Status> Write(ConstBuffer data);
  // Writes all of the parts, one after the other, small ones in one record. The parts, and the array of them, must stay
  // until the Task has ended.
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }

  // Tells the peer that nothing more will be written; later writes fail with EPIPE. Idempotent.
  Task<absl::Status> ShutdownWrite();
  // Closes the transport. Idempotent.
  void Close() noexcept;

  // What the two sides have agreed on; never changes.
  const std::string& version() const noexcept;      // "TLSv1.3"
  const std::string& cipher() const noexcept;       // "TLS_AES_256_GCM_SHA384"
  const std::string& alpn() const noexcept;         // "h2"; empty: no protocol was agreed on
  const std::string& server_name() const noexcept;  // the host that the client asked for by SNI; may be empty
  bool resumed() const noexcept;                    // a session of an earlier connection was resumed
  // A server's; a client's if the server asked for it. Verified, unless the Context does not verify.
  const std::optional<Certificate>& peer_certificate() const noexcept;

  // For what the transport says of itself: transport<net::TcpStream>()->peer_address(). Null if it is no T. Stays while
  // the stream lives, also where it is moved.
  template <Transport T>
  const T* transport() const noexcept {
    return static_cast<const T*>(TransportAs(&internal::TlsTransportOf<T>::kType));
  }

 private:
  friend class internal::TlsConnection;
  explicit Stream(std::shared_ptr<internal::TlsConnection> connection) noexcept : connection_(std::move(connection)) {}
  Task<absl::Status> WriteParts(std::span<const ConstBuffer> parts);
  const void* TransportAs(const char* type) const noexcept;
  internal::TlsConnection& connection() const noexcept;  // CHECK that the stream was not moved away

  std::shared_ptr<internal::TlsConnection> connection_;
};

// ---------------------------------------------------------------------------------------------------------------------

}  // namespace tls

namespace internal {

// (lib/tls/stream.cc)
Task<absl::StatusOr<tls::Stream>> TlsClientOver(std::unique_ptr<TlsTransport> transport, tls::ClientOptions options);
Task<absl::StatusOr<tls::Stream>> TlsServerOver(std::unique_ptr<TlsTransport> transport, tls::Context context);

}  // namespace internal

namespace tls {

template <Transport T>
Task<absl::StatusOr<Stream>> Client(T transport, ClientOptions options) {
  return internal::TlsClientOver(std::make_unique<internal::TlsTransportOf<T>>(std::move(transport)),
                                 std::move(options));
}

template <Transport T>
Task<absl::StatusOr<Stream>> Server(T transport, Context context) {
  return internal::TlsServerOver(std::make_unique<internal::TlsTransportOf<T>>(std::move(transport)),
                                 std::move(context));
}

}  // namespace tls
}  // namespace weft

#endif  // WEFT_TLS_STREAM_H_
