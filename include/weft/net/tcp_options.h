// TcpOptions: what the kernel does with a TCP connection.
//
//   absl::Status set = net::TcpOptions(stream).SetKeepAlive({.idle = absl::Minutes(1), .interval = absl::Seconds(10)});
//
// A view of a stream; the stream must outlive it. Any thread may set options while others use the stream, or close it:
// then the status is net::IsClosed(). Other errors are by errno; kInvalidArgument for what is out of range.
#ifndef WEFT_NET_TCP_OPTIONS_H_
#define WEFT_NET_TCP_OPTIONS_H_

#include "weft/internal/compiler.h"

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/internal/socket.h"
#include "weft/net/tcp_stream.h"
#include "weft/time_span.h"

namespace weft::net {

// When does the kernel ask whether the peer is still there? Each is rounded up to whole seconds, of which the kernel
// takes 1 to 32,767.
struct KeepAlive {
  TimeSpan idle = absl::Seconds(15);      // without a byte from the peer, until the first probe
  TimeSpan interval = absl::Seconds(15);  // from one probe to the next
  int count = 9;                          // unanswered probes, 1 to 127; then reads fail with ETIMEDOUT
};

// (tcp_options.cc)
class TcpOptions {
 public:
  explicit TcpOptions(const TcpStream& stream) noexcept : socket_(stream.socket_) {}

  // True, as every TcpStream begins: small writes are sent at once. False: they wait for the answer to the last one
  // (Nagle's algorithm).
  absl::Status SetNoDelay(bool on);
  // Off in a new stream. (The defaults of KeepAlive are those of Go's net.)
  absl::Status SetKeepAlive(const KeepAlive& keep_alive);
  absl::Status DisableKeepAlive();
  // What becomes of bytes that are not sent yet when the stream is closed. absl::InfiniteDuration(), as in a new
  // stream: the kernel goes on sending them, and nobody waits. Zero: they are dropped, and the peer sees a reset. A
  // time between is kInvalidArgument: close(2) would block its carrier for so long.
  absl::Status SetLinger(TimeSpan linger);
  // The bytes that the kernel keeps in each direction. It doubles them, for its own use, and caps them at
  // net.core.wmem_max and net.core.rmem_max. Without these the kernel chooses, and adapts, which is mostly better.
  absl::Status SetSendBufferSize(int bytes);
  absl::Status SetReceiveBufferSize(int bytes);

 private:
  const internal::Socket& socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_OPTIONS_H_
