// Layer os. How does Weft call the kernel?
//
//   const ssize_t received = Sys().recv(fd, buffer, size, MSG_DONTWAIT);   // as recv(2): -1 and errno on failure
//
// `Sys()` is a table of function pointers, one for each call that can fail in a way a caller has to handle. In
// production it holds the C library's own functions. A test puts another table in their place with
// `ScopedSyscalls`; lib/testing/syscall_fault.h has one that makes the k-th call of a kind fail with an errno of
// choice.
//
// Every entry has the signature, the results and the errno of the function that it is named after, with two kinds of
// exception:
//  * `io_uring_setup`, `io_uring_enter`, `io_uring_register` and `io_uring_dontfork` (an madvise) do not call anything:
//    liburing makes these syscalls itself. They say whether the driver may go on to do so: 0, or the negative errno
//    that it has to treat as liburing's result.
//  * `pthread_create`, `posix_spawnp` and `getaddrinfo` return their errors, like the C library's; those of the last
//    are EAI_..., which are negative.
//
// What is not here: futex and clock_gettime, whose failures are handled in place or cannot happen, and memory, for
// which the allocator's own hooks exist (weft/internal/frame_cache.h).
//
// Callers: any thread may call `Sys()`, at any time. Only tests use `ScopedSyscalls`, one at a time in a process.
// Another thread may still be in a call through the earlier table, so that table, and what it points to, must outlive
// every thread that may use it.
//
// Cost: one load and an indirect call, below 2 ns, on calls of 140 ns and more.
//
// Rejected: virtual functions, which make an override of one call a class; link-time wrapping, which also catches the
// test's own calls; strace -e inject, which needs a process for each case (it confirms a few cases from outside).
#ifndef WEFT_LIB_OS_SYSCALLS_H_
#define WEFT_LIB_OS_SYSCALLS_H_

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "weft/internal/atomic.h"

// X(result, name, parameters): every entry of the table. The order is that of use, not of the alphabet.
#define WEFT_SYSCALLS(X)                                                                                              \
  /* Descriptors. */                                                                                                  \
  X(int, close, (int fd))                                                                                             \
  X(ssize_t, read, (int fd, void* buffer, size_t size))                                                               \
  X(ssize_t, write, (int fd, const void* buffer, size_t size))                                                        \
  X(ssize_t, readv, (int fd, const iovec* parts, int count))                                                          \
  X(ssize_t, writev, (int fd, const iovec* parts, int count))                                                         \
  X(int, fcntl, (int fd, int command, long argument))                                                                 \
  X(int, eventfd, (unsigned initial, int flags))                                                                      \
  X(int, poll, (pollfd * fds, nfds_t count, int timeout_ms))                                                          \
  X(int, pipe2, (int fds[2], int flags))                                                                              \
  X(int, timerfd_create, (clockid_t clock, int flags))                                                                \
  X(int, timerfd_settime, (int fd, int flags, const itimerspec* value, itimerspec* before))                           \
  /* Sockets. */                                                                                                      \
  X(int, socket, (int domain, int type, int protocol))                                                                \
  X(int, socketpair, (int domain, int type, int protocol, int fds[2]))                                                \
  X(int, bind, (int fd, const sockaddr* address, socklen_t size))                                                     \
  X(int, listen, (int fd, int backlog))                                                                               \
  X(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags))                                            \
  X(int, connect, (int fd, const sockaddr* address, socklen_t size))                                                  \
  X(ssize_t, recv, (int fd, void* buffer, size_t size, int flags))                                                    \
  X(ssize_t, send, (int fd, const void* buffer, size_t size, int flags))                                              \
  X(ssize_t, recvmsg, (int fd, msghdr* message, int flags))                                                           \
  X(ssize_t, sendmsg, (int fd, const msghdr* message, int flags))                                                     \
  X(int, shutdown, (int fd, int how))                                                                                 \
  X(int, setsockopt, (int fd, int level, int option, const void* value, socklen_t size))                              \
  X(int, getsockopt, (int fd, int level, int option, void* value, socklen_t* size))                                   \
  X(int, getsockname, (int fd, sockaddr* address, socklen_t* size))                                                   \
  X(int, getpeername, (int fd, sockaddr* address, socklen_t* size))                                                   \
  X(int, getaddrinfo, (const char* host, const char* service, const addrinfo* hints, addrinfo** found))               \
  /* Files. */                                                                                                        \
  X(int, openat, (int directory, const char* path, int flags, mode_t mode))                                           \
  X(ssize_t, pread, (int fd, void* buffer, size_t size, off_t offset))                                                \
  X(ssize_t, pwrite, (int fd, const void* buffer, size_t size, off_t offset))                                         \
  X(ssize_t, preadv2, (int fd, const iovec* parts, int count, off_t offset, int flags))                               \
  X(int, fsync, (int fd))                                                                                             \
  X(int, fdatasync, (int fd))                                                                                         \
  X(int, ftruncate, (int fd, off_t size))                                                                             \
  X(int, fstat, (int fd, struct stat* result))                                                                        \
  X(int, fstatat, (int directory, const char* path, struct stat* result, int flags))                                  \
  X(int, unlinkat, (int directory, const char* path, int flags))                                                      \
  X(int, renameat, (int from_directory, const char* from, int to_directory, const char* to))                          \
  X(int, mkdirat, (int directory, const char* path, mode_t mode))                                                     \
  X(ssize_t, pwritev2, (int fd, const iovec* parts, int count, off_t offset, int flags))                              \
  X(int, fallocate, (int fd, int mode, off_t offset, off_t size))                                                     \
  X(int, flock, (int fd, int operation))                                                                              \
  X(int, fchmod, (int fd, mode_t mode))                                                                               \
  X(int, fchmodat, (int directory, const char* path, mode_t mode, int flags))                                         \
  X(int, fchown, (int fd, uid_t owner, gid_t group))                                                                  \
  X(int, futimens, (int fd, const timespec times[2]))                                                                 \
  X(int, utimensat, (int directory, const char* path, const timespec times[2], int flags))                            \
  X(off_t, lseek, (int fd, off_t offset, int whence))                                                                 \
  X(char*, realpath, (const char* path, char* resolved))                                                              \
  X(int, statvfs, (const char* path, struct statvfs* result))                                                         \
  X(ssize_t, lgetxattr, (const char* path, const char* name, void* value, size_t size))                               \
  X(ssize_t, copy_file_range, (int from, off_t* from_offset, int to, off_t* to_offset, size_t size, unsigned flags))  \
  X(int, renameat2, (int from_directory, const char* from, int to_directory, const char* to, unsigned flags))         \
  X(int, linkat, (int from_directory, const char* from, int to_directory, const char* to, int flags))                 \
  X(int, symlinkat, (const char* target, int directory, const char* path))                                            \
  X(ssize_t, readlinkat, (int directory, const char* path, char* buffer, size_t size))                                \
  X(ssize_t, getdents64, (int directory, void* buffer, size_t size))                                                  \
  X(ssize_t, getrandom, (void* buffer, size_t size, unsigned flags))                                                  \
  /* Processes. */                                                                                                    \
  X(int, posix_spawnp,                                                                                                \
    (pid_t * child, const char* file, const posix_spawn_file_actions_t* actions,                                      \
     const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment))                          \
  X(int, pidfd_open, (pid_t process, unsigned flags))                                                                 \
  X(int, pidfd_send_signal, (int pidfd, int signal))                                                                  \
  X(int, waitid, (idtype_t kind, id_t which, siginfo_t* result, int options))                                         \
  /* Readiness and completion. */                                                                                     \
  X(int, epoll_create1, (int flags))                                                                                  \
  X(int, epoll_ctl, (int epoll, int operation, int fd, epoll_event* event))                                           \
  X(int, epoll_pwait2, (int epoll, epoll_event* events, int max, const timespec* timeout))                            \
  X(int, epoll_wait, (int epoll, epoll_event* events, int max, int timeout_ms))                                       \
  X(int, io_uring_setup, (unsigned entries, unsigned flags))                                                          \
  X(int, io_uring_enter, (int ring))                                                                                  \
  X(int, io_uring_register, (int ring))                                                                               \
  X(int, io_uring_dontfork, (int ring))                                                                               \
  /* Threads. */                                                                                                      \
  X(int, pthread_create, (pthread_t * thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument)) \
  X(int, membarrier, (int command, unsigned flags))

namespace weft::internal {

struct Syscalls {
#define WEFT_DECLARE_SYSCALL(result, name, parameters) std::add_pointer_t<result parameters>(name);
  WEFT_SYSCALLS(WEFT_DECLARE_SYSCALL)
#undef WEFT_DECLARE_SYSCALL
};

// The C library's functions.
const Syscalls& RealSyscalls() noexcept;

namespace syscalls_internal {
extern Atomic<const Syscalls*> current;
}  // namespace syscalls_internal

// The table in force.
inline const Syscalls& Sys() noexcept {
  // [syscalls/1] acquire: pairs with [syscalls/2], [syscalls/3], [syscalls/4] and [syscalls/5]. Weaker, a table just
  // filled in by a test could be seen empty.
  return *syscalls_internal::current.load(std::memory_order_acquire);
}

// Puts `table` in force until the end of this object. For tests; nests.
class ScopedSyscalls {
 public:
  // `table` has to outlive every thread that calls the kernel through it.
  explicit ScopedSyscalls(const Syscalls& table) noexcept;
  ScopedSyscalls(const ScopedSyscalls&) = delete;
  ScopedSyscalls& operator=(const ScopedSyscalls&) = delete;
  ~ScopedSyscalls();

 private:
  const Syscalls* previous_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_SYSCALLS_H_
