#include "weft/internal/socket.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/io/accept_retry.h"
#include "lib/io/open_descriptor.h"
#include "lib/os/syscalls.h"
#include "weft/internal/descriptor.h"

namespace weft::internal {
namespace {

absl::StatusOr<net::SocketAddress> AddressBy(int (*Syscalls::*call)(int, sockaddr*, socklen_t*),
                                             OpenDescriptor* descriptor, const char* what) {
  const DescriptorUse use(descriptor);
  if (!use) return SocketStatus(EBADF, what);
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  if ((Sys().*call)(use.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return SocketStatus(errno, what);
  return net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace

absl::Status SocketStatus(int error, absl::string_view what) {
  if (error == EBADF) return internal::ErrnoToStatus(EBADF, absl::StrCat(what, " on a socket that was closed here"));
  return internal::ErrnoToStatus(error, what);
}

int Socket::Shutdown(int how) const noexcept {
  const DescriptorUse use(descriptor());
  if (!use) return EBADF;
  if (how == SHUT_RDWR) use->SetShutDown();
  const int error = Sys().shutdown(use.fd(), how) == 0 ? 0 : errno;
  if (how == SHUT_RDWR) DescriptorFreed();  // for an Accept() in a pause
  return error;
}

absl::StatusOr<net::SocketAddress> Socket::LocalAddress() const {
  return AddressBy(&Syscalls::getsockname, descriptor(), "getsockname");
}

absl::StatusOr<net::SocketAddress> Socket::PeerAddress() const {
  return AddressBy(&Syscalls::getpeername, descriptor(), "getpeername");
}

}  // namespace weft::internal
