#include "lib/net/socket_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/net/open_socket.h"
#include "lib/os/syscalls.h"
#include "weft/internal/socket.h"
#include "weft/net/socket_address.h"

namespace weft::internal {
namespace {

// Is this a socket file that no open socket is bound to? False if that cannot be known.
bool IsStale(const net::SocketAddress& address, const std::string& path) {
  struct stat file;
  if (Sys().fstatat(AT_FDCWD, path.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const absl::StatusOr<Socket> probe = OpenSocket(AF_UNIX, SOCK_SEQPACKET, 0);
  return probe.ok() && Sys().connect(probe->native_handle(), address.data(), address.size()) != 0 &&
         errno == ECONNREFUSED;
}

absl::Status InUse(const net::SocketAddress& address, absl::string_view why) {
  return ErrnoToStatus(EADDRINUSE, absl::StrCat("bind to ", address.ToString(), ", ", why));
}

}  // namespace

SocketFile::SocketFile(const net::SocketAddress& address) : path_(address.path()) {}

absl::StatusOr<std::unique_ptr<SocketFile>> SocketFile::Bind(int fd, const net::SocketAddress& address,
                                                             bool replace_stale) {
  std::unique_ptr<SocketFile> file;
  if (!address.path().empty()) file.reset(new SocketFile(address));
  if (Sys().bind(fd, address.data(), address.size()) != 0) {
    const int error = errno;
    if (error != EADDRINUSE || file == nullptr) {
      return ErrnoToStatus(error, absl::StrCat("bind to ", address.ToString()));
    }
    if (!IsStale(address, file->path_)) return InUse(address, "which is a file that is in use, or is no socket");
    if (!replace_stale) return InUse(address, "left over by a socket that is closed (.replace_stale removes it)");
    Sys().unlinkat(AT_FDCWD, file->path_.c_str(), 0);
    if (Sys().bind(fd, address.data(), address.size()) != 0) {
      return ErrnoToStatus(errno, absl::StrCat("bind to ", address.ToString(), ", in place of a file left over"));
    }
  }
  struct stat made;
  if (file == nullptr || Sys().fstatat(AT_FDCWD, file->path_.c_str(), &made, AT_SYMLINK_NOFOLLOW) != 0) return file;
  file->device_ = made.st_dev;
  file->inode_ = made.st_ino;
  file->process_ = ::getpid();
  file->there_.store(true, std::memory_order_relaxed);
  return file;
}

void SocketFile::Remove() noexcept {
  if (!there_.exchange(false, std::memory_order_relaxed) || process_ != ::getpid()) return;
  struct stat now;
  if (Sys().fstatat(AT_FDCWD, path_.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return;
  // If it fails, the next Bind() says that a file is left over.
  if (now.st_dev == device_ && now.st_ino == inode_) Sys().unlinkat(AT_FDCWD, path_.c_str(), 0);
}

}  // namespace weft::internal
