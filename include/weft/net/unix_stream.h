// UnixStream: a connection between two processes of this machine, or two threads of this process.
//
//   absl::StatusOr<UnixStream> stream = co_await UnixStream::Connect("/run/server.sock");
//   if (!stream.ok()) co_return stream.status();
//   if (absl::Status sent = co_await stream->Write("ping"); !sent.ok()) co_return sent;
//
//   auto [parent, child] = UnixStream::Pair().value();        // connected to each other
//   co_await parent.Send("take this", {{file.get()}});        // with the bytes travels an open descriptor
//
// It is a stream of bytes like a TcpStream (tcp_stream.h), and what is said there of operations, lifetime, closing,
// errors and cancellation holds here. Beyond that it says who the peer is (peer_credentials()), and carries
// descriptors.
#ifndef WEFT_NET_UNIX_STREAM_H_
#define WEFT_NET_UNIX_STREAM_H_

#include "weft/internal/compiler.h"

#include <sys/types.h>

#include <concepts>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::net {

// Of the process that made the peer's end, at the time it connected, listened, or made the pair.
struct PeerCredentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

// (unix_stream.cc)
class UnixStream {
 public:
  // The most descriptors that one Send() takes. (The kernel's SCM_MAX_FD.)
  static constexpr size_t kMaxDescriptors = 253;

  // Connects to a listener: by a path, or "@name" for an abstract name, perhaps behind "unix:".
  //
  // While the listener's backlog is full, this waits. (The kernel does not tell when there is room. So it tries again
  // after 1 ms, then 2, and so on up to 64 ms.) Errors: kNotFound if there is no such file, kUnavailable if nobody
  // listens on it (ECONNREFUSED), others by errno.
  static Task<absl::StatusOr<UnixStream>> Connect(SocketAddress address);
  static Task<absl::StatusOr<UnixStream>> Connect(TextView name);
  // Two streams, connected to each other. Any thread may call it.
  static absl::StatusOr<std::pair<UnixStream, UnixStream>> Pair();
  // Takes over a connected socket; the rest as for TcpListener::Adopt().
  static absl::StatusOr<UnixStream> Adopt(int fd);

  UnixStream(UnixStream&&) noexcept = default;
  UnixStream& operator=(UnixStream&&) noexcept = default;  // closes what it had

  // As those of TcpStream. A Read() drops the descriptors that come with the bytes: they are closed.
  internal::ReadAwaiter Read(MutableBuffer buffer) { return {socket_.Use("Read()"), buffer.data(), buffer.size()}; }
  Task<absl::Status> ReadExactly(MutableBuffer buffer);
  internal::WriteAwaiter Write(ConstBuffer data) { return {socket_.Use("Write()"), data}; }
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }
  Task<absl::Status> WaitHangUp();

  // Writes all of `data`, and sends `descriptors` with its first byte, or the first few: the peer gets duplicates of
  // them. They stay the caller's. Data and descriptors must stay until the Task has ended.
  //
  // kInvalidArgument, and nothing is sent, if a descriptor is not open, if there are more than kMaxDescriptors, or if
  // there are some but no byte that could carry them. A Send() that is cancelled has sent the descriptors if it has
  // sent any bytes.
  Task<absl::Status> Send(ConstBuffer data, std::span<const int> descriptors);
  // Reads what there is, like Read(), and appends the descriptors that came with it to `descriptors`, closed by
  // exec(2). Bytes that were sent with descriptors and bytes that were sent later are never returned together.
  //
  // kResourceExhausted if the process cannot have so many descriptors (EMFILE): the bytes were taken from the stream,
  // and nobody knows how many, so all that is left to do is to close it. None of their descriptors is delivered; those
  // that did not arrive are lost, and Weft closes the others. Descriptors need a buffer: with an empty one it returns 0
  // at once.
  Task<absl::StatusOr<size_t>> Receive(MutableBuffer buffer, std::vector<io::UniqueDescriptor>& descriptors);

  absl::Status ShutdownWrite();
  void Shutdown() noexcept;
  void Close() noexcept { socket_.Close(); }

  bool is_open() const noexcept { return socket_.is_open(); }
  int native_handle() const noexcept { return socket_.native_handle(); }
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }
  absl::StatusOr<SocketAddress> peer_address() const { return socket_.PeerAddress(); }
  // The kernel vouches for them. (SO_PEERCRED)
  absl::StatusOr<PeerCredentials> peer_credentials() const;

 private:
  friend class UnixListener;
  explicit UnixStream(internal::Socket socket) noexcept : socket_(std::move(socket)) {}
  static UnixStream Accepted(internal::Socket socket, int fd) noexcept;
  Task<absl::Status> WriteParts(std::span<const ConstBuffer> parts);

  internal::Socket socket_;
};

}  // namespace weft::net

#endif  // WEFT_NET_UNIX_STREAM_H_
