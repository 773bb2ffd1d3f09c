// Layer net. Who removes the file that a Unix socket is bound to?
//
// bind(2) makes it, and nothing removes it: it stays behind the socket, and the next bind(2) finds it. So whoever bound
// the socket removes it: if it is still the same file, because another process may have replaced it, and not in a child
// of fork(2), which has the socket, too.
//
// Is an open socket bound to a file? A connect(2) by a socket of another type tells, and the server does not see it: it
// says EPROTOTYPE then, and ECONNREFUSED if the file is left over. (One of the same type would also say ECONNREFUSED
// for a socket that does not listen yet, and would be a connection to one that does.) ECONNREFUSED comes for files that
// are no sockets as well; those are left alone.
#ifndef WEFT_LIB_NET_SOCKET_FILE_H_
#define WEFT_LIB_NET_SOCKET_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "weft/internal/atomic.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

// (socket_file.cc)
class SocketFile {
 public:
  // Binds `fd` to a Unix address. Null for an abstract name, which has no file.
  static absl::StatusOr<std::unique_ptr<SocketFile>> Bind(int fd, const net::SocketAddress& address,
                                                          bool replace_stale);
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() { Remove(); }

  // Idempotent. Any thread.
  void Remove() noexcept;

 private:
  explicit SocketFile(const net::SocketAddress& address);

  const std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  pid_t process_ = 0;
  Atomic<bool> there_{false};  // relaxed: only one thread removes it, and nothing else hangs on it
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_SOCKET_FILE_H_
