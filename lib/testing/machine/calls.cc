// The table of system calls that leads to the machine: how arguments and results are converted. (kernel.h)
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/os/syscalls.h"
#include "lib/testing/machine/datagram_socket.h"
#include "lib/testing/machine/descriptors.h"
#include "lib/testing/machine/epoll_set.h"
#include "lib/testing/machine/event_counter.h"
#include "lib/testing/machine/file_object.h"
#include "lib/testing/machine/kernel.h"
#include "lib/testing/machine/mapped_address.h"
#include "lib/testing/machine/open_object.h"
#include "lib/testing/machine/pipe.h"
#include "lib/testing/machine/socket.h"
#include "lib/testing/machine/stream_socket.h"
#include "weft/internal/check.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {
namespace {

// ---- Conversions.

// -1 and errno for a negative errno.
int64_t Result(int64_t result) noexcept {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}
int IntResult(int64_t result) noexcept { return static_cast<int>(Result(result)); }

iovec PartOf(void* buffer, size_t size) noexcept { return {buffer, size}; }
iovec PartOf(const void* buffer, size_t size) noexcept { return {const_cast<void*>(buffer), size}; }

// The machine, if `fd` is one of its descriptors.
Kernel* MachineOf(int fd) noexcept { return Descriptors::IsOurs(fd) ? Kernel::Here() : nullptr; }
// The machine, if a path is one of its paths.
Kernel* MachineAt(int directory) noexcept {
  return directory == AT_FDCWD || Descriptors::IsOurs(directory) ? Kernel::Here() : nullptr;
}

// Nothing blocks here, so whatever would must have said that it need not.
int64_t NotBlocking(const OpenObject& object, int64_t result, int flags = 0) {
  WEFT_CHECK(result != -EAGAIN || (object.flags() & O_NONBLOCK) != 0 || (flags & MSG_DONTWAIT) != 0)
      << "a call on " << object.Describe()
      << " would block the whole simulation: its descriptor is not in non-blocking mode";
  return result;
}

std::optional<net::SocketAddress> AddressOf(const sockaddr* address, socklen_t size) {
  if (address == nullptr || size == 0) return std::nullopt;
  const absl::StatusOr<net::SocketAddress> parsed = net::SocketAddress::From(address, size);
  if (!parsed.ok()) return std::nullopt;
  return *parsed;
}

void WriteAddress(const std::optional<net::SocketAddress>& address, int family, sockaddr* to, socklen_t* size) {
  if (to == nullptr || size == nullptr) return;
  sockaddr_storage none = {};
  none.ss_family = static_cast<sa_family_t>(family);
  std::optional<net::SocketAddress> shown;
  if (address.has_value()) shown = ShownBy(family, *address);
  const auto* const data = shown.has_value() ? shown->data() : reinterpret_cast<const sockaddr*>(&none);
  const socklen_t bytes = shown.has_value() ? shown->size()
                          : family == AF_UNIX ? static_cast<socklen_t>(sizeof(sa_family_t))
                          : family == AF_INET ? static_cast<socklen_t>(sizeof(sockaddr_in))
                                              : static_cast<socklen_t>(sizeof(sockaddr_in6));
  std::memcpy(to, data, std::min(bytes, *size));
  *size = bytes;
}

// use(object), or -EBADF.
template <class Use>
int64_t OnObject(Kernel& machine, int fd, Use use) {
  const std::shared_ptr<OpenObject> object = machine.descriptors.Share(fd);
  return object == nullptr ? -EBADF : static_cast<int64_t>(use(*object));
}
template <class Use>
int64_t OnSocket(Kernel& machine, int fd, Use use) {
  return OnObject(machine, fd, [&use](OpenObject& object) -> int64_t {
    return object.AsSocket() == nullptr ? -ENOTSOCK : use(*object.AsSocket());
  });
}
// In the pool: takes time, and fails by chance.
template <class Use>
int64_t OnFile(Kernel& machine, int fd, std::initializer_list<int> faults, Use use) {
  machine.Pause();
  return OnObject(machine, fd, [&](OpenObject& object) -> int64_t {
    if (object.AsFile() == nullptr) return -ESPIPE;
    const int fault = machine.Fault(faults);
    return fault != 0 ? fault : use(*object.AsFile());
  });
}
// use(directory), where a path begins; or -EBADF, or -ENOTDIR.
template <class Use>
int64_t FromDirectory(Kernel& machine, int directory, Use use) {
  if (directory == AT_FDCWD) return use(nullptr);
  return OnObject(machine, directory, [&use](OpenObject& object) -> int64_t {
    return object.AsFile() == nullptr ? -ENOTDIR : use(object.AsFile());
  });
}
// The same, as a call that takes time and fails by chance.
template <class Use>
int IntOnPath(Kernel& machine, int directory, std::initializer_list<int> faults, Use use) {
  machine.Pause();
  if (const int fault = machine.Fault(faults); fault != 0) return IntResult(fault);
  return IntResult(FromDirectory(machine, directory, use));
}

int AddTwo(Kernel& machine, std::shared_ptr<OpenObject> one, std::shared_ptr<OpenObject> other, bool close_on_exec,
           int fds[2]) {
  fds[0] = machine.descriptors.Add(std::move(one), close_on_exec);
  if (fds[0] < 0) return fds[0];
  fds[1] = machine.descriptors.Add(std::move(other), close_on_exec);
  if (fds[1] >= 0) return 0;
  machine.descriptors.Close(fds[0]);
  return fds[1];
}

// ---- Any descriptor.

int Close(int fd) {
  Kernel* const machine = MachineOf(fd);
  return machine == nullptr ? RealSyscalls().close(fd) : IntResult(machine->descriptors.Close(fd));
}

int64_t ReadFrom(Kernel& machine, int fd, Parts into, int flags = 0) {
  return OnObject(machine, fd, [&](OpenObject& object) -> int64_t {
    if (object.AsFile() != nullptr && (flags & MSG_DONTWAIT) != 0) return -EAGAIN;  // a disk takes time
    if (object.AsFile() != nullptr) machine.Pause();
    const int fault = object.AsFile() == nullptr ? machine.Fault({EINTR}) : machine.Fault({EINTR, EIO});
    return fault != 0 ? fault : NotBlocking(object, object.Read(into), flags);
  });
}

int64_t WriteTo(Kernel& machine, int fd, Parts from, int flags = 0) {
  return OnObject(machine, fd, [&](OpenObject& object) -> int64_t {
    if (object.AsFile() != nullptr && (flags & MSG_DONTWAIT) != 0) return -EAGAIN;  // a disk takes time
    if (object.AsFile() != nullptr) machine.Pause();
    const int fault = object.AsFile() == nullptr ? machine.Fault({EINTR}) : machine.Fault({EINTR, EIO, ENOSPC});
    return fault != 0 ? fault : NotBlocking(object, object.Write(from), flags);
  });
}

ssize_t Read(int fd, void* buffer, size_t size) {
  Kernel* const machine = MachineOf(fd);
  const iovec part = PartOf(buffer, size);
  return machine == nullptr ? RealSyscalls().read(fd, buffer, size) : Result(ReadFrom(*machine, fd, {&part, 1}));
}

ssize_t Write(int fd, const void* buffer, size_t size) {
  Kernel* const machine = MachineOf(fd);
  const iovec part = PartOf(buffer, size);
  return machine == nullptr ? RealSyscalls().write(fd, buffer, size) : Result(WriteTo(*machine, fd, {&part, 1}));
}

ssize_t ReadV(int fd, const iovec* parts, int count) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().readv(fd, parts, count);
  return Result(ReadFrom(*machine, fd, {parts, static_cast<size_t>(count)}));
}

ssize_t WriteV(int fd, const iovec* parts, int count) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().writev(fd, parts, count);
  return Result(WriteTo(*machine, fd, {parts, static_cast<size_t>(count)}));
}

int FCntl(int fd, int command, long argument) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().fcntl(fd, command, argument);
  return IntResult(OnObject(*machine, fd, [&](OpenObject& object) -> int64_t {
    Descriptors& descriptors = machine->descriptors;
    const int value = static_cast<int>(argument);
    switch (command) {
      case F_GETFD:
        return descriptors.flags(fd);
      case F_SETFD:
        descriptors.SetFlags(fd, value);
        return 0;
      case F_GETFL:
        return object.flags();
      case F_SETFL:
        object.SetFlags(value);
        return 0;
      case F_DUPFD:
      case F_DUPFD_CLOEXEC:
        if (const int fault = machine->Fault({EMFILE}); fault != 0) return fault;
        return descriptors.Add(descriptors.Share(fd), command == F_DUPFD_CLOEXEC);
      default:
        return -EINVAL;
    }
  }));
}

int EventFd(unsigned initial, int flags) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().eventfd(initial, flags);
  // That of Signals, whose handler writes to it at any moment.
  if ((flags & EFD_SEMAPHORE) != 0) return IntResult(-ENOSYS);
  return IntResult(machine->descriptors.Add(std::make_shared<EventCounter>(initial), /*close_on_exec=*/true));
}

int Poll(pollfd* fds, nfds_t count, int timeout_ms) {
  Kernel* const machine = count == 1 ? MachineOf(fds->fd) : nullptr;
  if (machine == nullptr) return RealSyscalls().poll(fds, count, timeout_ms);
  WEFT_CHECK(timeout_ms == 0) << "poll() with a timeout would block the whole simulation";
  const OpenObject* const object = machine->descriptors.Find(fds->fd);
  // The events of poll(2) have the numbers of epoll's.
  const uint32_t wanted = static_cast<uint16_t>(fds->events) | POLLERR | POLLHUP;
  const uint32_t ready = object == nullptr ? POLLNVAL
                         : object->CanBeWatched() ? object->Readiness() & wanted
                                                  : wanted & (POLLIN | POLLOUT);
  fds->revents = static_cast<short>(ready);
  return ready != 0 ? 1 : 0;
}

int Pipe2(int fds[2], int flags) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().pipe2(fds, flags);
  if (const int fault = machine->Fault({EMFILE, ENFILE}); fault != 0) return IntResult(fault);
  PipeEnd::Ends ends = PipeEnd::Make(flags & O_NONBLOCK, machine->surroundings.chance);
  return IntResult(AddTwo(*machine, std::move(ends.reader), std::move(ends.writer), (flags & O_CLOEXEC) != 0, fds));
}

// ---- Sockets.

int FlagsOf(int type) noexcept { return (type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0; }

int OpenSocket(int domain, int type, int protocol) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().socket(domain, type, protocol);
  if (const int fault = machine->Fault({EMFILE, ENFILE, ENOBUFS, ENOMEM}); fault != 0) return IntResult(fault);
  if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) return IntResult(-EAFNOSUPPORT);
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  std::shared_ptr<Socket> made;
  if (kind == SOCK_DGRAM) {
    made = std::make_shared<DatagramSocket>(machine->network, domain, FlagsOf(type));
  } else if (kind == SOCK_STREAM || (kind == SOCK_SEQPACKET && domain == AF_UNIX)) {
    made = std::make_shared<StreamSocket>(machine->network, domain, kind, FlagsOf(type));
  } else {
    return IntResult(-ESOCKTNOSUPPORT);
  }
  return IntResult(machine->descriptors.Add(std::move(made), (type & SOCK_CLOEXEC) != 0));
}

template <class Kind, class... Arguments>
int AddPair(Kernel& machine, bool close_on_exec, int fds[2], Arguments... arguments) {
  auto one = std::make_shared<Kind>(machine.network, arguments...);
  auto other = std::make_shared<Kind>(machine.network, arguments...);
  Kind::Join(*one, *other);
  return IntResult(AddTwo(machine, std::move(one), std::move(other), close_on_exec, fds));
}

int SocketPair(int domain, int type, int protocol, int fds[2]) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().socketpair(domain, type, protocol, fds);
  if (const int fault = machine->Fault({EMFILE, ENFILE, ENOMEM}); fault != 0) return IntResult(fault);
  if (domain != AF_UNIX) return IntResult(-EOPNOTSUPP);
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const bool close_on_exec = (type & SOCK_CLOEXEC) != 0;
  if (kind == SOCK_DGRAM) return AddPair<DatagramSocket>(*machine, close_on_exec, fds, AF_UNIX, FlagsOf(type));
  if (kind != SOCK_STREAM) return IntResult(-ESOCKTNOSUPPORT);
  return AddPair<StreamSocket>(*machine, close_on_exec, fds, AF_UNIX, kind, FlagsOf(type));
}

int Bind(int fd, const sockaddr* address, socklen_t size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().bind(fd, address, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    const std::optional<net::SocketAddress> wanted = AddressOf(address, size);
    if (!wanted.has_value()) return -EINVAL;
    const int fault = socket.is_unix() ? 0 : machine->Fault({EADDRINUSE, EADDRNOTAVAIL});
    return fault != 0 ? fault : machine->network.Bind(socket, *wanted);
  }));
}

int Listen(int fd, int backlog) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().listen(fd, backlog);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) { return socket.Listen(backlog); }));
}

int Accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().accept4(fd, address, size, flags);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    const int fault = machine->Fault({ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM});
    if (fault != 0) return fault;
    // Looked for first, as in Linux: EMFILE takes no connection, and comes also if there is none.
    if (!machine->descriptors.HasRoom()) return -EMFILE;
    std::shared_ptr<Socket> accepted;
    if (const int error = socket.Accept(accepted); error != 0) return NotBlocking(socket, error);
    accepted->SetFlags(FlagsOf(flags));
    WriteAddress(accepted->peer(), socket.family(), address, size);
    return machine->descriptors.Add(std::move(accepted), (flags & SOCK_CLOEXEC) != 0);
  }));
}

int Connect(int fd, const sockaddr* address, socklen_t size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().connect(fd, address, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    const std::optional<net::SocketAddress> peer = AddressOf(address, size);
    if (!peer.has_value()) return -EINVAL;
    const int result = socket.Connect(*peer);
    if (result == -EINPROGRESS) NotBlocking(socket, -EAGAIN);
    return result;
  }));
}

int64_t SendOn(Kernel& machine, int fd, Parts from, Rights rights, const std::optional<net::SocketAddress>& to,
               int flags) {
  return OnSocket(machine, fd, [&](Socket& socket) -> int64_t {
    if (const int fault = machine.Fault({EINTR, ENOBUFS}); fault != 0) return fault;
    return NotBlocking(socket, socket.Send(from, std::move(rights), to), flags);
  });
}

int64_t ReceiveOn(Kernel& machine, int fd, Parts into, int flags, Received& received) {
  return OnSocket(machine, fd, [&](Socket& socket) -> int64_t {
    // A connection that breaks is broken for both, and from now on.
    const int fault = machine.Fault({EINTR, ECONNRESET});
    if (fault == -EINTR) return fault;
    if (fault != 0) socket.Break();
    return NotBlocking(socket, socket.Receive(into, flags, received), flags);
  });
}

ssize_t Receive(int fd, void* buffer, size_t size, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().recv(fd, buffer, size, flags);
  const iovec part = PartOf(buffer, size);
  Received received;
  return Result(ReceiveOn(*machine, fd, {&part, 1}, flags, received));
}

ssize_t Send(int fd, const void* buffer, size_t size, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().send(fd, buffer, size, flags);
  const iovec part = PartOf(buffer, size);
  return Result(SendOn(*machine, fd, {&part, 1}, {}, std::nullopt, flags));
}

// A descriptor of the real kernel that travels in a message.
class RealDescriptor final : public OpenObject {
 public:
  // Owns `fd`.
  explicit RealDescriptor(int fd) noexcept : OpenObject(0), fd_(fd) {}
  ~RealDescriptor() override {
    if (fd_ >= 0) RealSyscalls().close(fd_);
  }
  std::string Describe() const override { return "a descriptor of the real kernel"; }
  int Release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::shared_ptr<OpenObject> ShareAny(const Kernel& machine, int fd) {
  if (Descriptors::IsOurs(fd)) return machine.descriptors.Share(fd);
  const int duplicate = RealSyscalls().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return duplicate < 0 ? nullptr : std::make_shared<RealDescriptor>(duplicate);
}

// What the descriptors of a message stand for. False: one of them is not open.
bool TakeRights(const Kernel& machine, const msghdr& message, Rights& rights) {
  auto& header = const_cast<msghdr&>(message);  // only read
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
      rights.push_back(ShareAny(machine, fd));
      if (rights.back() == nullptr) return false;
    }
  }
  return true;
}

// Gives out numbers for what came, as many as there is room for.
void GiveRights(Kernel& machine, Rights rights, msghdr& message) {
  size_t room = 0;
  if (message.msg_control != nullptr && message.msg_controllen >= CMSG_LEN(sizeof(int))) {
    room = (message.msg_controllen - CMSG_LEN(0)) / sizeof(int);
  }
  std::vector<int> numbers;
  for (std::shared_ptr<OpenObject>& right : rights) {
    if (numbers.size() == room) break;
    auto* const real = dynamic_cast<RealDescriptor*>(right.get());
    const int fd =
        real != nullptr ? real->Release() : machine.descriptors.Add(std::move(right), /*close_on_exec=*/true);
    if (fd < 0) break;
    numbers.push_back(fd);
  }
  if (numbers.size() < rights.size()) message.msg_flags |= MSG_CTRUNC;
  const size_t bytes = numbers.size() * sizeof(int);
  if (numbers.empty()) {
    message.msg_controllen = 0;
    return;
  }
  cmsghdr* const control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(control), numbers.data(), bytes);
  message.msg_controllen = CMSG_SPACE(bytes);
}

ssize_t ReceiveMessage(int fd, msghdr* message, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().recvmsg(fd, message, flags);
  Received received;
  const int64_t result = ReceiveOn(*machine, fd, {message->msg_iov, message->msg_iovlen}, flags, received);
  if (result < 0) return Result(result);
  message->msg_flags = received.truncated ? MSG_TRUNC : 0;
  if (received.sender.has_value()) {
    WriteAddress(received.sender, 0, static_cast<sockaddr*>(message->msg_name), &message->msg_namelen);
  } else {
    message->msg_namelen = 0;
  }
  GiveRights(*machine, std::move(received.rights), *message);
  return result;
}

ssize_t SendMessage(int fd, const msghdr* message, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().sendmsg(fd, message, flags);
  Rights rights;
  if (!TakeRights(*machine, *message, rights)) return Result(-EBADF);
  const auto to = AddressOf(static_cast<const sockaddr*>(message->msg_name), message->msg_namelen);
  return Result(SendOn(*machine, fd, {message->msg_iov, message->msg_iovlen}, std::move(rights), to, flags));
}

int ShutDown(int fd, int how) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().shutdown(fd, how);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) { return socket.ShutDown(how); }));
}

int SetOption(int fd, int level, int option, const void* value, socklen_t size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().setsockopt(fd, level, option, value, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    return size < sizeof(int) ? -EINVAL : socket.SetOption(level, option, value, size);
  }));
}

int64_t WriteOption(const void* data, size_t bytes, void* value, socklen_t* size) noexcept {
  *size = static_cast<socklen_t>(std::min<size_t>(*size, bytes));
  std::memcpy(value, data, *size);
  return 0;
}

int GetOption(int fd, int level, int option, void* value, socklen_t* size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().getsockopt(fd, level, option, value, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    if (level == SOL_SOCKET && option == SO_PEERCRED) {
      const ucred self = {.pid = ::getpid(), .uid = ::getuid(), .gid = ::getgid()};
      return WriteOption(&self, sizeof(self), value, size);
    }
    int number = socket.IntegerOption(level, option);
    if (level == SOL_SOCKET && option == SO_ERROR) number = socket.TakeError();
    if (level == SOL_SOCKET && option == SO_TYPE) number = socket.type();
    if (level == SOL_SOCKET && option == SO_PROTOCOL && !socket.is_unix()) {
      number = socket.type() == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    }
    if (level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF)) number *= 2;  // as Linux says it
    return WriteOption(&number, sizeof(number), value, size);
  }));
}

int GetName(int fd, sockaddr* address, socklen_t* size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().getsockname(fd, address, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) {
    WriteAddress(socket.name(), socket.family(), address, size);
    return 0;
  }));
}

int GetPeerName(int fd, sockaddr* address, socklen_t* size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().getpeername(fd, address, size);
  return IntResult(OnSocket(*machine, fd, [&](Socket& socket) -> int64_t {
    const std::optional<net::SocketAddress> peer = socket.peer();
    if (!peer.has_value()) return -ENOTCONN;
    WriteAddress(peer, socket.family(), address, size);
    return 0;
  }));
}

// Names are the machine's, addresses are converted by the C library, which also frees the answer.
int GetAddrInfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().getaddrinfo(host, service, hints, found);
  addrinfo numeric = hints == nullptr ? addrinfo{} : *hints;
  numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
  const int error = RealSyscalls().getaddrinfo(host, service, &numeric, found);
  if (error != EAI_NONAME || (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0)) return error;
  machine->Pause();
  if (machine->Fault({EAGAIN}) != 0) return EAI_AGAIN;
  const auto known = machine->hosts.find(host);
  if (known == machine->hosts.end()) return EAI_NONAME;
  *found = nullptr;
  addrinfo** end = found;
  for (const net::SocketAddress& address : known->second) {
    std::string text = HostOf(address);
    if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
    if (RealSyscalls().getaddrinfo(text.c_str(), service, &numeric, end) == 0) {
      while (*end != nullptr) end = &(*end)->ai_next;
    } else {
      *end = nullptr;  // of a family that was not asked for
    }
  }
  return *found == nullptr ? EAI_NONAME : 0;
}

// ---- Files.

int OpenAt(int directory, const char* path, int flags, mode_t mode) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().openat(directory, path, flags, mode);
  return IntOnPath(*machine, directory, {EINTR, EMFILE, ENFILE, ENOMEM, EIO}, [&](FileObject* from) -> int64_t {
    if (!machine->descriptors.HasRoom()) return -EMFILE;
    std::shared_ptr<OpenObject> opened;
    if (const int error = machine->files.Open(from, path, flags, mode, opened); error != 0) return error;
    return machine->descriptors.Add(std::move(opened), (flags & O_CLOEXEC) != 0);
  });
}

ssize_t PRead(int fd, void* buffer, size_t size, off_t offset) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().pread(fd, buffer, size, offset);
  const iovec part = PartOf(buffer, size);
  return Result(OnFile(*machine, fd, {EINTR, EIO},
                       [&](FileObject& file) { return file.ReadAt({&part, 1}, offset); }));
}

ssize_t PWrite(int fd, const void* buffer, size_t size, off_t offset) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().pwrite(fd, buffer, size, offset);
  const iovec part = PartOf(buffer, size);
  return Result(OnFile(*machine, fd, {EINTR, EIO, ENOSPC},
                       [&](FileObject& file) { return file.WriteAt({&part, 1}, offset, /*append=*/false); }));
}

constexpr off_t kWhereItStands = -1;  // of preadv2() and pwritev2()
constexpr int DontWait(int flags) noexcept { return (flags & RWF_NOWAIT) != 0 ? MSG_DONTWAIT : 0; }

ssize_t PReadV2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().preadv2(fd, parts, count, offset, flags);
  if (offset == kWhereItStands) {
    return Result(ReadFrom(*machine, fd, {parts, static_cast<size_t>(count)}, DontWait(flags)));
  }
  return Result(OnFile(*machine, fd, {EINTR, EIO}, [&](FileObject& file) {
    return file.ReadAt({parts, static_cast<size_t>(count)}, offset);
  }));
}

ssize_t PWriteV2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().pwritev2(fd, parts, count, offset, flags);
  if (offset == kWhereItStands) {
    return Result(WriteTo(*machine, fd, {parts, static_cast<size_t>(count)}, DontWait(flags)));
  }
  return Result(OnFile(*machine, fd, {EINTR, EIO, ENOSPC}, [&](FileObject& file) {
    return file.WriteAt({parts, static_cast<size_t>(count)}, offset, (flags & RWF_APPEND) != 0);
  }));
}

int Sync(Kernel& machine, int fd) {
  return IntResult(OnFile(machine, fd, {}, [&](FileObject& file) { return file.Sync(machine.Fault({EINTR, EIO})); }));
}

int FSync(int fd) {
  Kernel* const machine = MachineOf(fd);
  return machine == nullptr ? RealSyscalls().fsync(fd) : Sync(*machine, fd);
}

int FDataSync(int fd) {
  Kernel* const machine = MachineOf(fd);
  return machine == nullptr ? RealSyscalls().fdatasync(fd) : Sync(*machine, fd);
}

int FTruncate(int fd, off_t size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().ftruncate(fd, size);
  return IntResult(OnFile(*machine, fd, {EINTR, EIO}, [&](FileObject& file) { return file.Truncate(size); }));
}

int FStat(int fd, struct stat* result) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().fstat(fd, result);
  return IntResult(OnObject(*machine, fd, [&](OpenObject& object) { return object.Stat(*result); }));
}

int FStatAt(int directory, const char* path, struct stat* result, int flags) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().fstatat(directory, path, result, flags);
  return IntOnPath(*machine, directory, {EINTR, ENOMEM},
                   [&](FileObject* from) { return machine->files.Stat(from, path, *result, flags); });
}

int UnlinkAt(int directory, const char* path, int flags) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().unlinkat(directory, path, flags);
  return IntOnPath(*machine, directory, {EINTR, EIO},
                   [&](FileObject* from) { return machine->files.Unlink(from, path, flags); });
}

int RenameAt2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  Kernel* const machine = MachineAt(from_directory);
  if (machine == nullptr) return RealSyscalls().renameat2(from_directory, from, to_directory, to, flags);
  return IntOnPath(*machine, from_directory, {EINTR, EIO, ENOSPC}, [&](FileObject* first) {
    return FromDirectory(*machine, to_directory, [&](FileObject* second) {
      return machine->files.Rename(first, from, second, to, flags);
    });
  });
}

int RenameAt(int from_directory, const char* from, int to_directory, const char* to) {
  if (MachineAt(from_directory) == nullptr) return RealSyscalls().renameat(from_directory, from, to_directory, to);
  return RenameAt2(from_directory, from, to_directory, to, 0);
}

int LinkAt(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  Kernel* const machine = MachineAt(from_directory);
  if (machine == nullptr) return RealSyscalls().linkat(from_directory, from, to_directory, to, flags);
  return IntOnPath(*machine, from_directory, {EINTR, EIO, ENOSPC}, [&](FileObject* first) {
    return FromDirectory(*machine, to_directory, [&](FileObject* second) {
      return machine->files.Link(first, from, second, to, flags);
    });
  });
}

int MkDirAt(int directory, const char* path, mode_t mode) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().mkdirat(directory, path, mode);
  return IntOnPath(*machine, directory, {EINTR, EIO, ENOSPC},
                   [&](FileObject* from) { return machine->files.MakeDirectory(from, path, mode); });
}

int SymLinkAt(const char* target, int directory, const char* path) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().symlinkat(target, directory, path);
  return IntOnPath(*machine, directory, {EINTR, EIO, ENOSPC},
                   [&](FileObject* from) { return machine->files.MakeSymbolicLink(target, from, path); });
}

ssize_t ReadLinkAt(int directory, const char* path, char* buffer, size_t size) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().readlinkat(directory, path, buffer, size);
  return IntOnPath(*machine, directory, {EINTR, EIO},
                   [&](FileObject* from) { return machine->files.ReadLink(from, path, buffer, size); });
}

int FAllocate(int fd, int mode, off_t offset, off_t size) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().fallocate(fd, mode, offset, size);
  return IntResult(OnFile(*machine, fd, {EINTR, EIO, ENOSPC},
                          [&](FileObject& file) { return file.Allocate(mode, offset, size); }));
}

int FLock(int fd, int operation) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().flock(fd, operation);
  return IntResult(OnFile(*machine, fd, {EINTR}, [&](FileObject& file) { return file.Lock(operation); }));
}

int FChMod(int fd, mode_t mode) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().fchmod(fd, mode);
  return IntResult(OnFile(*machine, fd, {EINTR, EIO}, [&](FileObject& file) { return file.ChangeMode(mode); }));
}

int FChModAt(int directory, const char* path, mode_t mode, int flags) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().fchmodat(directory, path, mode, flags);
  return IntOnPath(*machine, directory, {EINTR, EIO},
                   [&](FileObject* from) { return machine->files.ChangeMode(from, path, mode, flags); });
}

int FUTimeNs(int fd, const timespec times[2]) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().futimens(fd, times);
  return IntResult(OnFile(*machine, fd, {EINTR, EIO}, [&](FileObject& file) { return file.SetTimes(times); }));
}

int UTimeNsAt(int directory, const char* path, const timespec times[2], int flags) {
  Kernel* const machine = MachineAt(directory);
  if (machine == nullptr) return RealSyscalls().utimensat(directory, path, times, flags);
  return IntOnPath(*machine, directory, {EINTR, EIO},
                   [&](FileObject* from) { return machine->files.SetTimes(from, path, times, flags); });
}

off_t LSeek(int fd, off_t offset, int whence) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().lseek(fd, offset, whence);
  return Result(OnObject(*machine, fd, [&](OpenObject& object) {
    return object.AsFile() == nullptr ? -ESPIPE : object.AsFile()->Seek(offset, whence);
  }));
}

char* RealPath(const char* path, char* resolved) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().realpath(path, resolved);
  std::string whole;
  const int found = IntOnPath(*machine, AT_FDCWD, {EINTR, EIO, ENOMEM},
                              [&](FileObject*) { return machine->files.RealPath(path, whole); });
  if (found < 0) return nullptr;
  return resolved == nullptr ? ::strdup(whole.c_str()) : ::strcpy(resolved, whole.c_str());
}

int StatVFS(const char* path, struct statvfs* result) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().statvfs(path, result);
  return IntOnPath(*machine, AT_FDCWD, {EINTR, EIO},
                   [&](FileObject*) { return machine->files.StatDisk(path, *result); });
}

// All belongs to one user and one group.
int FChOwn(int fd, uid_t owner, gid_t group) {
  Kernel* const machine = MachineOf(fd);
  if (machine == nullptr) return RealSyscalls().fchown(fd, owner, group);
  return IntResult(OnFile(*machine, fd, {EINTR, EIO}, [](FileObject&) { return -EPERM; }));
}

ssize_t LGetXAttr(const char* path, const char* name, void* value, size_t size) {
  if (Kernel::Here() == nullptr) return RealSyscalls().lgetxattr(path, name, value, size);
  return Result(-EOPNOTSUPP);  // the file system knows no such attributes
}

ssize_t CopyFileRange(int from, off_t* from_offset, int to, off_t* to_offset, size_t size, unsigned flags) {
  Kernel* const machine = MachineOf(from);
  if (machine == nullptr) return RealSyscalls().copy_file_range(from, from_offset, to, to_offset, size, flags);
  return Result(OnFile(*machine, from, {EINTR, EIO, ENOSPC, EXDEV}, [&](FileObject& source) {
    return OnObject(*machine, to, [&](OpenObject& object) -> int64_t {
      if (object.AsFile() == nullptr) return -EINVAL;
      return source.CopyTo(from_offset, *object.AsFile(), to_offset, size);
    });
  }));
}

ssize_t GetDents64(int directory, void* buffer, size_t size) {
  Kernel* const machine = MachineOf(directory);
  if (machine == nullptr) return RealSyscalls().getdents64(directory, buffer, size);
  return Result(OnFile(*machine, directory, {EINTR, EIO},
                       [&](FileObject& file) { return file.ReadDirectory(buffer, size); }));
}

ssize_t GetRandom(void* buffer, size_t size, unsigned flags) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().getrandom(buffer, size, flags);
  for (size_t i = 0; i < size; ++i) {
    static_cast<unsigned char*>(buffer)[i] = static_cast<unsigned char>(machine->surroundings.chance.Below(256));
  }
  return static_cast<ssize_t>(size);
}

// ---- The rest.

int SpawnP(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
           const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  if (Kernel::Here() != nullptr) return ENOENT;  // the machine has no programs
  return RealSyscalls().posix_spawnp(child, file, actions, attributes, arguments, environment);
}

int EpollCreate1(int flags) {
  Kernel* const machine = Kernel::Here();
  if (machine == nullptr) return RealSyscalls().epoll_create1(flags);
  return IntResult(machine->descriptors.Add(std::make_shared<EpollSet>(), /*close_on_exec=*/true));
}

EpollSet* EpollOf(const Kernel& machine, int epoll) noexcept {
  return dynamic_cast<EpollSet*>(machine.descriptors.Find(epoll));
}

int EpollCtl(int epoll, int operation, int fd, epoll_event* event) {
  Kernel* const machine = MachineOf(epoll);
  if (machine == nullptr) return RealSyscalls().epoll_ctl(epoll, operation, fd, event);
  EpollSet* const set = EpollOf(*machine, epoll);
  OpenObject* const object = machine->descriptors.Find(fd);
  if (set == nullptr || object == nullptr) return IntResult(set == nullptr ? -EINVAL : -EBADF);
  const int fault = operation == EPOLL_CTL_ADD ? machine->Fault({ENOMEM, ENOSPC}) : 0;
  return IntResult(fault != 0 ? fault : set->Control(operation, fd, *object, event));
}

int EpollWait(int epoll, epoll_event* events, int max, int timeout_ms) {
  Kernel* const machine = MachineOf(epoll);
  if (machine == nullptr) return RealSyscalls().epoll_wait(epoll, events, max, timeout_ms);
  WEFT_CHECK(timeout_ms == 0) << "epoll_wait() with a timeout would block the whole simulation";
  EpollSet* const set = EpollOf(*machine, epoll);
  return IntResult(set == nullptr ? -EINVAL : set->Wait(events, max, machine->surroundings.chance));
}

Syscalls Table() noexcept {
  Syscalls table = RealSyscalls();
  table.close = Close;
  table.read = Read;
  table.write = Write;
  table.readv = ReadV;
  table.writev = WriteV;
  table.fcntl = FCntl;
  table.eventfd = EventFd;
  table.poll = Poll;
  table.pipe2 = Pipe2;
  table.socket = OpenSocket;
  table.socketpair = SocketPair;
  table.bind = Bind;
  table.listen = Listen;
  table.accept4 = Accept4;
  table.connect = Connect;
  table.recv = Receive;
  table.send = Send;
  table.recvmsg = ReceiveMessage;
  table.sendmsg = SendMessage;
  table.shutdown = ShutDown;
  table.setsockopt = SetOption;
  table.getsockopt = GetOption;
  table.getsockname = GetName;
  table.getpeername = GetPeerName;
  table.getaddrinfo = GetAddrInfo;
  table.openat = OpenAt;
  table.pread = PRead;
  table.pwrite = PWrite;
  table.preadv2 = PReadV2;
  table.pwritev2 = PWriteV2;
  table.fsync = FSync;
  table.fdatasync = FDataSync;
  table.ftruncate = FTruncate;
  table.fstat = FStat;
  table.fstatat = FStatAt;
  table.unlinkat = UnlinkAt;
  table.renameat = RenameAt;
  table.renameat2 = RenameAt2;
  table.linkat = LinkAt;
  table.mkdirat = MkDirAt;
  table.symlinkat = SymLinkAt;
  table.readlinkat = ReadLinkAt;
  table.fallocate = FAllocate;
  table.flock = FLock;
  table.fchmod = FChMod;
  table.fchmodat = FChModAt;
  table.fchown = FChOwn;
  table.futimens = FUTimeNs;
  table.utimensat = UTimeNsAt;
  table.lseek = LSeek;
  table.realpath = RealPath;
  table.statvfs = StatVFS;
  table.lgetxattr = LGetXAttr;
  table.copy_file_range = CopyFileRange;
  table.getdents64 = GetDents64;
  table.getrandom = GetRandom;
  table.posix_spawnp = SpawnP;
  table.epoll_create1 = EpollCreate1;
  table.epoll_ctl = EpollCtl;
  table.epoll_wait = EpollWait;
  return table;
}

}  // namespace

const Syscalls& MachineSyscalls() noexcept {
  static const Syscalls table = Table();
  return table;
}

}  // namespace weft::internal::machine
