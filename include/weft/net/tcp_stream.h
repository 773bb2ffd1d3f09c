// TcpStream: a TCP connection.
//
//   absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
//   if (!stream.ok()) co_return stream.status();
//   if (absl::Status sent = co_await stream->Write("ping"); !sent.ok()) co_return sent;
//   char buffer[64];
//   absl::StatusOr<size_t> got = co_await stream->Read(buffer);   // 0: the peer has finished
//
// Reads and writes park the virtual thread, never the carrier. One virtual thread may read while another writes; two do not read, or
// write, at once.
//
// Lifetime. Movable, also while operations are pending, which go on. The destructor closes. Buffers may lie in the awaiting frame: an
// operation that is cancelled is awaited to its end before the frame goes.
//
// Closing. Any thread may Close() or Shutdown() a stream that others use. After Close(), the destructor, or a move onto the stream, what
// is pending ends, and what begins ends at once, with net::IsClosed() (closed.h); bytes that had been read by then are delivered. The
// peer sees the end when the last operation has ended. Shutdown() ends the connection itself, at once.
//
// Errors are absl::Status, with the errno as a payload (weft.dev/errno). A broken connection is kUnavailable or kAborted, by errno;
// SIGPIPE is never raised.
//
// Cancellation: every operation is a checkpoint, those on no bytes included, which do not wait otherwise. What was read is delivered; a
// Write() that is cancelled may have sent a part.
//
// Cost: no allocation for a Read(); one frame for a Write().
#ifndef WEFT_NET_TCP_STREAM_H_
#define WEFT_NET_TCP_STREAM_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

class TcpStream {
 public:
  // Connects to a numeric address. Small writes are sent at once (TCP_NODELAY).
  static Task<absl::StatusOr<TcpStream>> Connect(SocketAddress address);
  static Task<absl::StatusOr<TcpStream>> Connect(TextView address);

  TcpStream(TcpStream&&) noexcept = default;
  TcpStream& operator=(TcpStream&&) noexcept = default;  // closes what it had

  // Reads what there is, at least one byte, up to buffer.size(). 0: the peer has finished writing. With an empty buffer 0 at once, which
  // says nothing of the stream.
  auto Read(MutableBuffer buffer) {
    using Got = absl::StatusOr<size_t>;
    struct [[nodiscard("co_await the read")]] Awaiter : internal::ReceiveAwaiter, internal::GivesWhenAwaited<Got> {
      using ReceiveAwaiter::ReceiveAwaiter;
      Got await_resume() const {
        const int32_t result = ReceiveAwaiter::await_resume();
        if (result < 0) return internal::SocketStatus(-result, "read");
        return static_cast<size_t>(result);
      }
    };
    return Awaiter(socket_.Use("Read()"), buffer.data(), buffer.size());
  }

  // Fills the buffer; kOutOfRange if the stream ends before. An empty buffer is full.
  Task<absl::Status> ReadExactly(MutableBuffer buffer);

  // Writes all of `data`, which must stay until it has returned. Writing nothing sends nothing, and succeeds.
  Task<absl::Status> Write(ConstBuffer data);

  // Says that nothing more will be written; reading goes on.
  absl::Status ShutdownWrite();
  // Ends both directions at once, for every process that has the connection: pending operations of others end, reads with 0, writes with
  // EPIPE. Does not free the descriptor.
  void Shutdown() noexcept;
  // Closes the descriptor, after the last operation that is pending on it, which ends soon: see above. Idempotent.
  void Close() noexcept { socket_.Close(); }

  // Does the kernel have it? Not after a Close(), once the operations that were pending have ended.
  bool is_open() const noexcept { return socket_.is_open(); }
  // The descriptor, for what Weft has no call for: an option, a look without waiting (MSG_PEEK with MSG_DONTWAIT). It stays this
  // object's: it is not closed through the number, and the number is not used after a Close(). -1 when closed.
  int native_handle() const noexcept { return socket_.native_handle(); }
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }
  absl::StatusOr<SocketAddress> peer_address() const { return socket_.PeerAddress(); }

 private:
  friend class TcpListener;
  explicit TcpStream(internal::Socket socket) noexcept : socket_(std::move(socket)) {}
  static TcpStream Accepted(internal::Socket socket, int fd) noexcept;

  internal::Socket socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_STREAM_H_
