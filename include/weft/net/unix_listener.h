// UnixListener: accepts connections of UnixStreams.
//
//   absl::StatusOr<UnixListener> listener = UnixListener::Bind("/run/server.sock", {.replace_stale = true});
//   if (!listener.ok()) co_return listener.status();
//   absl::StatusOr<UnixStream> stream = co_await listener->Accept();
//
// The file. Bind() makes it; who may connect is said by its permissions, which are those of the process's umask, and by
// the directory's. Close(), Shutdown() and the destructor remove it, if it is still the same file, and if this is the
// process that made it: a child of fork(2) leaves it. A process that is killed leaves it, too, and then the next Bind()
// fails with EADDRINUSE, unless it says `.replace_stale`. An abstract name has no file, and needs none of this.
//
// Lifetime, closing and cancellation: as those of a TcpListener (tcp_listener.h).
#ifndef WEFT_NET_UNIX_LISTENER_H_
#define WEFT_NET_UNIX_LISTENER_H_

#include "weft/internal/compiler.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft::internal {
class SocketFile;
}  // namespace weft::internal

namespace weft::net {

struct UnixListenOptions {
  // Connections that the kernel keeps for Accept(); further connects wait. The kernel caps this at net.core.somaxconn.
  int backlog = 4096;
  // Removes a socket file that no open socket is bound to. Two processes that do this at the same moment may both
  // succeed, and the first one then has no file: a service that may be started twice needs a lock of its own.
  bool replace_stale = false;
  // As in ListenOptions.
  bool wait_when_exhausted = true;
};

// (unix_listener.cc)
class UnixListener {
 public:
  // Listens on a path, or on "@name", an abstract name; either perhaps behind "unix:". Any thread may call it.
  //
  // Errors: kInvalidArgument for a name that is none (socket_address.h), kFailedPrecondition for one in use
  // (EADDRINUSE), with a sentence that says whether a socket is bound to the file; others by errno.
  static absl::StatusOr<UnixListener> Bind(TextView name, UnixListenOptions options = {});
  static absl::StatusOr<UnixListener> Bind(const SocketAddress& address, UnixListenOptions options = {});
  // As TcpListener::Adopt(). The file stays when the listener is closed: it belongs to whoever has bound the socket.
  static absl::StatusOr<UnixListener> Adopt(int fd);

  UnixListener(UnixListener&&) noexcept;
  UnixListener& operator=(UnixListener&&) noexcept;  // closes what it had
  ~UnixListener();

  // As those of TcpListener. At a Shutdown(), who is in the backlog sees the end of the stream, or a reset if it has
  // written something; while no descriptor is free, not before the Close().
  Task<absl::StatusOr<UnixStream>> Accept();
  void Close() noexcept;
  void Shutdown() noexcept;
  bool is_open() const noexcept { return socket_.is_open(); }
  // As TcpListener::native_handle().
  int native_handle() const noexcept { return socket_.native_handle(); }
  absl::StatusOr<SocketAddress> local_address() const { return socket_.LocalAddress(); }

 private:
  UnixListener(internal::Socket socket, std::unique_ptr<internal::SocketFile> file, bool wait_when_exhausted) noexcept;

  internal::Socket socket_;
  std::unique_ptr<internal::SocketFile> file_;  // none: an abstract name, or adopted
  bool wait_when_exhausted_;
};

}  // namespace weft::net

#endif  // WEFT_NET_UNIX_LISTENER_H_
