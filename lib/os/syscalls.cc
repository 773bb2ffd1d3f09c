#include "lib/os/syscalls.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace weft::internal {
namespace {

// What a server does for every request. The C library's own are points at which pthread_cancel() may end an OS thread,
// and make that known before and after each call: a hundred instructions a request, for what nobody does to a carrier.
// Sanitizers look at the C library's.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr auto* Recv = &::recv;
constexpr auto* Send = &::send;
#else
ssize_t Recv(int fd, void* buffer, size_t size, int flags) {
  return ::syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}
ssize_t Send(int fd, const void* buffer, size_t size, int flags) {
  return ::syscall(SYS_sendto, fd, buffer, size, flags, nullptr, 0);
}
#endif

// Wrappers: for functions that are variadic, that the C library lacks, or whose parameters differ.
constexpr Syscalls kRealSyscalls = {
    .close = ::close,
    .read = ::read,
    .write = ::write,
    .readv = ::readv,
    .writev = ::writev,
    .fcntl = [](int fd, int command, long argument) { return ::fcntl(fd, command, argument); },
    .eventfd = ::eventfd,
    .poll = ::poll,
    .pipe2 = ::pipe2,
    .timerfd_create = ::timerfd_create,
    .timerfd_settime = ::timerfd_settime,
    .socket = ::socket,
    .socketpair = ::socketpair,
    .bind = ::bind,
    .listen = ::listen,
    .accept4 = ::accept4,
    .connect = ::connect,
    .recv = Recv,
    .send = Send,
    .recvmsg = ::recvmsg,
    .sendmsg = ::sendmsg,
    .shutdown = ::shutdown,
    .setsockopt = ::setsockopt,
    .getsockopt = ::getsockopt,
    .getsockname = ::getsockname,
    .getpeername = ::getpeername,
    .getaddrinfo = ::getaddrinfo,
    .openat = [](int directory, const char* path, int flags,
                 mode_t mode) { return ::openat(directory, path, flags, mode); },
    .pread = ::pread,
    .pwrite = ::pwrite,
    .preadv2 = ::preadv2,
    .fsync = ::fsync,
    .fdatasync = ::fdatasync,
    .ftruncate = ::ftruncate,
    .fstat = ::fstat,
    .fstatat = ::fstatat,
    .unlinkat = ::unlinkat,
    .renameat = ::renameat,
    .mkdirat = ::mkdirat,
    .pwritev2 = ::pwritev2,
    .fallocate = ::fallocate,
    .flock = ::flock,
    .fchmod = ::fchmod,
    .fchmodat = ::fchmodat,
    .fchown = ::fchown,
    .futimens = ::futimens,
    .utimensat = ::utimensat,
    .lseek = ::lseek,
    .realpath = ::realpath,
    .statvfs = ::statvfs,
    .lgetxattr = ::lgetxattr,
    .copy_file_range = ::copy_file_range,
    .renameat2 = ::renameat2,
    .linkat = ::linkat,
    .symlinkat = ::symlinkat,
    .readlinkat = ::readlinkat,
    .getdents64 = ::getdents64,
    .getrandom = ::getrandom,
    .posix_spawnp = ::posix_spawnp,
    // The C library's header declares these two for C only.
    .pidfd_open = [](pid_t process,
                     unsigned flags) { return static_cast<int>(::syscall(SYS_pidfd_open, process, flags)); },
    .pidfd_send_signal =
        [](int pidfd, int signal) {
          return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
        },
    .waitid = ::waitid,
    .epoll_create1 = ::epoll_create1,
    .epoll_ctl = ::epoll_ctl,
    .epoll_pwait2 = [](int epoll, epoll_event* events, int max,
                       const timespec* timeout) { return ::epoll_pwait2(epoll, events, max, timeout, nullptr); },
    .epoll_wait = ::epoll_wait,
    .io_uring_setup = [](unsigned, unsigned) { return 0; },
    .io_uring_enter = [](int) { return 0; },
    .io_uring_register = [](int) { return 0; },
    .io_uring_dontfork = [](int) { return 0; },
    .pthread_create = ::pthread_create,
    .membarrier = [](int command,
                     unsigned flags) { return static_cast<int>(::syscall(SYS_membarrier, command, flags, 0)); },
};

}  // namespace

namespace syscalls_internal {
constinit Atomic<const Syscalls*> current{&kRealSyscalls};
}  // namespace syscalls_internal

const Syscalls& RealSyscalls() noexcept { return kRealSyscalls; }

ScopedSyscalls::ScopedSyscalls(const Syscalls& table) noexcept
    // [syscalls/2] acq_rel: the release publishes the table, and pairs with [syscalls/1]; the acquire is for the
    // previous guard's table, and pairs with itself.
    : previous_(syscalls_internal::current.exchange(&table, std::memory_order_acq_rel)) {}

ScopedSyscalls::~ScopedSyscalls() {
  // [syscalls/3] release: pairs with [syscalls/1].
  syscalls_internal::current.store(previous_, std::memory_order_release);
}

}  // namespace weft::internal
