// TcpStream: a TCP connection.
//
//   absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
//   if (!stream.ok()) co_return stream.status();
//   if (absl::Status sent = co_await stream->Write("ping"); !sent.ok()) co_return sent;
//   char buffer[64];
//   absl::StatusOr<size_t> got = co_await stream->Read(buffer);   // 0: the peer has finished
//
// Reads and writes park the virtual thread, never the carrier. One virtual thread may read while another writes. Two
// threads must not read, or write, at the same time.
//
// Lifetime. It can be moved, also while operations are pending, which go on. The destructor closes the stream. Buffers
// may lie in the awaiting frame: a cancelled operation is waited for before the frame is destroyed.
//
// Closing. Any thread may Close() or Shutdown() a stream that others use. A Close(), the destructor, or a move onto the
// stream ends the operations that are pending, and those that begin later, with net::IsClosed() (closed.h). Bytes that
// had been read by then are delivered. The peer sees the end when the last operation has ended. Shutdown() ends the
// connection itself, at once.
//
// Errors are absl::Status, with the errno as a payload (weft.dev/errno). A broken connection is kUnavailable,
// and one whose peer no longer answers kDeadlineExceeded (ETIMEDOUT); SIGPIPE is never raised.
//
// Cancellation: every operation is a checkpoint, also on an empty buffer, where it does not wait otherwise. What was
// read is delivered. A Write() that is cancelled may have sent a part.
//
// Cost: a Read() allocates nothing, nor does a Write() of one buffer that the kernel takes at once. Other calls
// allocate a frame.
#ifndef WEFT_NET_TCP_STREAM_H_
#define WEFT_NET_TCP_STREAM_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

// (tcp.cc)
class TcpStream {
 public:
  // Connects to a numeric address. Small writes are sent at once (TCP_NODELAY). `from` is an address of this machine,
  // for one that has several; its port is 0 as a rule, for any. Errors about it: EADDRNOTAVAIL if it is none of this
  // machine, EADDRINUSE, and kInvalidArgument if its family is not that of `address`.
  static Task<absl::StatusOr<TcpStream>> Connect(SocketAddress address,
                                                 std::optional<SocketAddress> from = std::nullopt);
  static Task<absl::StatusOr<TcpStream>> Connect(TextView address);
  // Takes over a connected socket; the rest as for TcpListener::Adopt().
  static absl::StatusOr<TcpStream> Adopt(int fd);

  TcpStream(TcpStream&&) noexcept = default;
  TcpStream& operator=(TcpStream&&) noexcept = default;  // closes what it had

  // Reads what there is: at least one byte, up to buffer.size(). Returns the number of bytes, or 0 if the peer has
  // finished writing. With an empty buffer it returns 0 at once, which says nothing about the stream.
  internal::ReadAwaiter Read(MutableBuffer buffer) { return {socket_.Use("Read()"), buffer.data(), buffer.size()}; }

  // Fills the buffer; kOutOfRange if the stream ends before, for which io::IsEndOfStream() is true if it ends at once.
  // With an empty buffer it succeeds at once. Cancelled, it loses what it has read; an io::BufferedReader does not.
  Task<absl::Status> ReadExactly(MutableBuffer buffer);

  // Writes all of `data`, which must stay until the write has ended. Writing nothing sends nothing, and succeeds.
  internal::WriteAwaiter Write(ConstBuffer data) { return {socket_.Use("Write()"), data}; }
  // Writes all of the parts, one after the other, with as few system calls as the kernel needs: a header and a body
  // leave together. The parts, and the array of them, must stay until the Task has ended.
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }

  // Returns when the peer has finished writing, or the connection is gone: for a handler that works for a client that
  // may lose interest, in a Race() with the work. (A peer that only closes its half also ends this wait.) Reads
  // nothing: a Read() may be pending, and finds what has come. Errors: net::IsClosed() after a Close() of this side.
  Task<absl::Status> WaitHangUp();

  // Tells the peer that nothing more will be written; reading goes on.
  absl::Status ShutdownWrite();
  // Ends both directions at once, for every process that has the connection. Pending reads return 0; pending writes
  // fail with EPIPE. Does not free the descriptor.
  void Shutdown() noexcept;
  // Closes the descriptor after the last operation that is pending on it, which ends soon: see above. Idempotent.
  void Close() noexcept { socket_.Close(); }

  // True while the kernel has the descriptor. False after a Close(), once the pending operations have ended.
  bool is_open() const noexcept { return socket_.is_open(); }
  // The descriptor, or -1 after a Close(). For what Weft has no call for: a socket option, a look without waiting
  // (MSG_PEEK with MSG_DONTWAIT). (tcp_options.h has the usual options.) The stream still owns it: do not close it, and
  // do not use it after a Close(). Set no option that fills the error queue, such as IP_RECVERR, unless that queue is
  // read (MSG_ERRQUEUE): until it is empty, an operation that waits may spin.
  int native_handle() const noexcept { return socket_.native_handle(); }
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }
  absl::StatusOr<SocketAddress> peer_address() const { return socket_.PeerAddress(); }

 private:
  friend class TcpListener;
  friend class TcpOptions;
  explicit TcpStream(internal::Socket socket) noexcept : socket_(std::move(socket)) {}
  static TcpStream Accepted(internal::Socket socket, int fd) noexcept;
  Task<absl::Status> WriteParts(std::span<const ConstBuffer> parts);

  internal::Socket socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_TCP_STREAM_H_
