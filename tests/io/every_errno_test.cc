// Row F2 for sockets, pipes, processes and signals. (Files: tests/fs/fault_test.cc; names: tests/net/resolver_test.cc;
// what a runtime needs to start: tests/net/start_up_test.cc.)
//
// Goal: whatever errno a call of the kernel's ends with, the status has it, or the operation goes on as if nothing had
// been; nothing hangs, and nothing is left. Method: for each family a scenario that uses all of it; each kind of call
// that it makes, at each time that it makes it, once and from there on, with each errno that the manual pages have; in
// a simulation, on both backends.
//
// Not tried is what the kernel does not do: EAGAIN of a descriptor that is ready, and EINTR for ever. Nor a close that
// fails: it closes all the same, and a fault would not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/proof_row.h"
#include "tests/support/watched.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/io/buffer.h"
#include "weft/io/pipe.h"
#include "weft/io/readiness.h"
#include "weft/io/unique_descriptor.h"
#include "weft/io_backend.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/net/unix_listener.h"
#include "weft/net/unix_stream.h"
#include "weft/process.h"
#include "weft/scope.h"
#include "weft/signal.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;
using io::UniqueDescriptor;
using net::TcpListener;
using net::TcpStream;
using net::UdpSocket;
using net::UnixDatagram;
using net::UnixListener;
using net::UnixStream;

// ---- The calls.

// A kind of call, and what it may end with.
struct Entry {
  const char* name;
  std::function<std::unique_ptr<ScopedSyscallFault>(ScopedSyscallFault::Options)> install;
  std::vector<int> errnos;         // the status has them
  std::vector<int> absorbed = {};  // nobody sees them, if they come once
  std::vector<int> harmless = {};  // nor if they come for ever
  bool drivers_too = false;        // a driver makes it as well, and goes on without an answer
};

template <auto kEntry>
Entry Of(const char* name, std::vector<int> errnos, std::vector<int> absorbed = {}, std::vector<int> harmless = {}) {
  return {name,
          [](ScopedSyscallFault::Options options) { return std::make_unique<ScopedSyscallFault>(kEntry, options); },
          std::move(errnos), std::move(absorbed), std::move(harmless)};
}

Entry Socket() { return Of<&Syscalls::socket>("socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EAFNOSUPPORT}); }
Entry Bind() { return Of<&Syscalls::bind>("bind", {EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM, EROFS}); }
Entry Listen() { return Of<&Syscalls::listen>("listen", {EADDRINUSE, EOPNOTSUPP}); }
// The listeners of these scenarios do not wait while something is short.
Entry Accept() {
  return Of<&Syscalls::accept4>("accept4", {EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL},
                                {EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH, EOPNOTSUPP});
}
Entry Connect(std::vector<int> absorbed = {}) {
  return Of<&Syscalls::connect>(
      "connect", {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EACCES, EPERM}, absorbed);
}
Entry Receive() { return Of<&Syscalls::recv>("recv", {ECONNRESET, ETIMEDOUT, ENOMEM, EHOSTUNREACH}, {EINTR}); }
Entry Send() { return Of<&Syscalls::send>("send", {ECONNRESET, EPIPE, ENOBUFS, ENOMEM, ETIMEDOUT}, {EINTR}); }
Entry ReceiveMessage() {
  return Of<&Syscalls::recvmsg>("recvmsg", {ECONNRESET, ECONNREFUSED, ENOMEM, ENOBUFS}, {EINTR});
}
Entry SendMessage() {
  return Of<&Syscalls::sendmsg>("sendmsg", {ECONNRESET, EPIPE, ENOMEM, EMSGSIZE, ECONNREFUSED, ETOOMANYREFS}, {EINTR});
}
Entry Shutdown() { return Of<&Syscalls::shutdown>("shutdown", {ENOTCONN, ENOBUFS}); }
Entry Names() { return Of<&Syscalls::getsockname>("getsockname", {ENOBUFS, ENOTCONN}); }
Entry PeerNames() { return Of<&Syscalls::getpeername>("getpeername", {ENOBUFS, ENOTCONN}); }
Entry Fcntl() { return Of<&Syscalls::fcntl>("fcntl", {EMFILE, EPERM, EINVAL}); }
Entry Poll() { return Of<&Syscalls::poll>("poll", {ENOMEM, EINVAL}, {EINTR}); }
Entry Pipe() { return Of<&Syscalls::pipe2>("pipe2", {EMFILE, ENFILE, ENOMEM}); }

// What the drivers call. They go on.
std::vector<Entry> OfDrivers() {
  return {
      Of<&Syscalls::io_uring_enter>("io_uring_enter", {}, {EINTR, EAGAIN, EBUSY, ENOMEM}),
      Of<&Syscalls::epoll_wait>("epoll_wait", {}, {EINTR}),
      Of<&Syscalls::epoll_pwait2>("epoll_pwait2", {}, {EINTR, ENOSYS, EPERM}, {ENOSYS, EPERM}),
  };
}

// ---- The scenarios. Each returns the first error.

#define WEFT_RETURN_IF_ERROR(...)                                        \
  if (const absl::Status failed = (__VA_ARGS__); !failed.ok()) co_return failed

struct Scenario {
  const char* name;
  std::function<Task<absl::Status>()> run;
  std::vector<Entry> entries;
};

// Two sides; the other one ends when one fails.
template <class One, class Other>
Task<absl::Status> Both(One one, Other other) {
  ShutdownOnFailure scope;
  scope.Fork(one);
  scope.Fork(other);
  co_return (co_await scope.Join()).status();
}

template <class Stream>
Task<absl::Status> AskAndAnswer(Stream& stream, bool asks) {
  char buffer[64];
  const std::string text = "a question";
  const ConstBuffer parts[] = {"a ", "question"};
  if (asks) {
    WEFT_RETURN_IF_ERROR(co_await stream.Write(text));
    WEFT_RETURN_IF_ERROR(co_await stream.ReadExactly(MutableBuffer(buffer, text.size())));
    WEFT_RETURN_IF_ERROR(stream.ShutdownWrite());
    WEFT_RETURN_IF_ERROR((co_await stream.Read(buffer)).status());
  } else {
    WEFT_RETURN_IF_ERROR(co_await stream.ReadExactly(MutableBuffer(buffer, text.size())));
    WEFT_RETURN_IF_ERROR(co_await stream.Write(parts));
    WEFT_RETURN_IF_ERROR(co_await stream.WaitHangUp());
    WEFT_RETURN_IF_ERROR((co_await stream.Read(buffer)).status());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Tcp() {
  absl::StatusOr<TcpListener> listener = TcpListener::Bind("127.0.0.1:0", {.wait_when_exhausted = false});
  if (!listener.ok()) co_return listener.status();
  const auto address = listener->local_address();
  if (!address.ok()) co_return address.status();
  co_return co_await Both(
      [&]() -> Task<absl::Status> {
        absl::StatusOr<TcpStream> client = co_await TcpStream::Connect(*address);
        if (!client.ok()) co_return client.status();
        WEFT_RETURN_IF_ERROR(client->peer_address().status());
        co_return co_await AskAndAnswer(*client, /*asks=*/true);
      },
      [&]() -> Task<absl::Status> {
        absl::StatusOr<TcpStream> server = co_await listener->Accept();
        if (!server.ok()) co_return server.status();
        co_return co_await AskAndAnswer(*server, /*asks=*/false);
      });
}

Task<absl::Status> Unix() {
  // By chance: processes of two sandboxes may have one id.
  static std::random_device random;
  const std::string name = absl::StrCat("@weft-errno-", random(), "-", random());
  absl::StatusOr<UnixListener> listener = UnixListener::Bind(name, {.wait_when_exhausted = false});
  if (!listener.ok()) co_return listener.status();
  co_return co_await Both(
      [&]() -> Task<absl::Status> {
        absl::StatusOr<UnixStream> client = co_await UnixStream::Connect(name);
        if (!client.ok()) co_return client.status();
        const int descriptors[] = {client->native_handle()};
        WEFT_RETURN_IF_ERROR(co_await client->Send("take this", descriptors));
        WEFT_RETURN_IF_ERROR(client->peer_credentials().status());
        co_return co_await AskAndAnswer(*client, /*asks=*/true);
      },
      [&]() -> Task<absl::Status> {
        absl::StatusOr<UnixStream> server = co_await listener->Accept();
        if (!server.ok()) co_return server.status();
        {
          std::vector<UniqueDescriptor> descriptors;
          char buffer[9];
          WEFT_RETURN_IF_ERROR((co_await server->Receive(buffer, descriptors)).status());
          EXPECT_EQ(descriptors.size(), 1u);
        }
        co_return co_await AskAndAnswer(*server, /*asks=*/false);
      });
}

template <class Datagrams>
Task<absl::Status> ExchangeDatagrams(Datagrams& one, Datagrams& other) {
  co_return co_await Both(
      [&]() -> Task<absl::Status> {
        char buffer[16];
        WEFT_RETURN_IF_ERROR(co_await one.Send("question"));
        co_return (co_await one.ReceiveFrom(buffer)).status();
      },
      [&]() -> Task<absl::Status> {
        char buffer[16];
        WEFT_RETURN_IF_ERROR((co_await other.ReceiveFrom(buffer)).status());
        co_return co_await other.Send("answer");
      });
}

Task<absl::Status> Udp() {
  absl::StatusOr<UdpSocket> one = UdpSocket::Bind("127.0.0.1:0");
  if (!one.ok()) co_return one.status();
  const auto address = one->local_address();
  if (!address.ok()) co_return address.status();
  absl::StatusOr<UdpSocket> other = UdpSocket::Connect(*address);
  if (!other.ok()) co_return other.status();
  const auto back = other->local_address();
  if (!back.ok()) co_return back.status();
  WEFT_RETURN_IF_ERROR(one->SetPeer(*back));
  co_return co_await ExchangeDatagrams(*one, *other);
}

Task<absl::Status> UnixDatagrams() {
  auto pair = UnixDatagram::Pair();
  if (!pair.ok()) co_return pair.status();
  co_return co_await ExchangeDatagrams(pair->first, pair->second);
}

// A wait, and not only a look: there is nothing to read.
Task<absl::Status> Waits() {
  absl::StatusOr<io::PipeEnds> pipe = io::MakePipe();
  if (!pipe.ok()) co_return pipe.status();
  const auto early = co_await MoveOnAfter(absl::Milliseconds(1), io::WaitReadable(pipe->reader.native_handle()));
  co_return early.value_or(absl::OkStatus());
}

Task<absl::Status> Pipes() {
  absl::StatusOr<io::PipeEnds> pipe = io::MakePipe();
  if (!pipe.ok()) co_return pipe.status();
  co_return co_await Both(
      [&]() -> Task<absl::Status> {
        const std::string large(1 << 17, 'x');
        WEFT_RETURN_IF_ERROR(co_await io::WaitWritable(pipe->writer.native_handle()));
        WEFT_RETURN_IF_ERROR(co_await pipe->writer.Write(large));
        pipe->writer.Close();
        co_return absl::OkStatus();
      },
      [&]() -> Task<absl::Status> {
        WEFT_RETURN_IF_ERROR(co_await io::WaitReadable(pipe->reader.native_handle()));
        std::string buffer(1 << 16, '\0');
        for (;;) {
          const absl::StatusOr<size_t> got = co_await pipe->reader.Read(buffer);
          if (!got.ok() || *got == 0) co_return got.status();
        }
      });
}

Task<absl::Status> Processes() {
  const absl::StatusOr<Process::Output> output = co_await Process::Run({"cat"}, {.input = "text"});
  if (output.ok()) EXPECT_EQ(output->standard_output, "text");
  co_return output.status();
}

Task<absl::Status> ReceivedSignals() {
  absl::StatusOr<Signals> signals = Signals::Open({SIGUSR1});
  if (!signals.ok()) co_return signals.status();
  ::raise(SIGUSR1);
  EXPECT_EQ(co_await signals->Next(), SIGUSR1);
  co_return absl::OkStatus();
}

std::vector<Scenario> Scenarios() {
  const Entry options = Of<&Syscalls::setsockopt>("setsockopt", {}, {}, {ENOBUFS, ENOMEM, ENOPROTOOPT, EINVAL});
  Entry credentials = Of<&Syscalls::getsockopt>("getsockopt", {ENOBUFS, ENOPROTOOPT});
  credentials.drivers_too = true;
  return {
      {"TCP", &Tcp,
       {Socket(), Bind(), Listen(), Accept(), Connect({EINTR}), Receive(), Send(), SendMessage(), Shutdown(), Names(),
        PeerNames(), Poll(), options}},
      {"Unix", &Unix,
       {Socket(), Bind(), Listen(), Accept(), Connect({EAGAIN}), Receive(), Send(), SendMessage(), ReceiveMessage(),
        Shutdown(), credentials}},
      {"UDP", &Udp, {Socket(), Bind(), Connect(), SendMessage(), ReceiveMessage(), Names()}},
      {"Unix datagrams", &UnixDatagrams,
       {Of<&Syscalls::socketpair>("socketpair", {EMFILE, ENFILE, ENOMEM, EOPNOTSUPP}), SendMessage(),
        ReceiveMessage()}},
      {"waits", &Waits, {Pipe(), Fcntl(), Poll()}},
      {"pipes", &Pipes,
       {Pipe(), Poll(), Of<&Syscalls::read>("read", {EIO, EISDIR}, {EINTR}),
        Of<&Syscalls::writev>("writev", {EIO, EPIPE, ENOSPC}, {EINTR})}},
      {"processes", &Processes,
       {Of<&Syscalls::posix_spawnp>("posix_spawnp", {EAGAIN, ENOMEM, ENOENT, EACCES}),
        Of<&Syscalls::pidfd_open>("pidfd_open", {EMFILE, ENFILE, ENODEV, ENOMEM}), Pipe(), Fcntl()}},
      {"signals", &ReceivedSignals,
       {Of<&Syscalls::eventfd>("eventfd", {EMFILE, ENFILE, ENODEV, ENOMEM}),
        Of<&Syscalls::read>("read", {}, {EINTR})}},
  };
}

// ---- The test.

struct Ran {
  absl::Status status;
  int64_t calls = 0;
};

class EveryErrnoTest : public ::testing::TestWithParam<IoBackend> {
 protected:
  static Ran Run(const Scenario& scenario, const Entry& entry, ScopedSyscallFault::Options options) {
    const Census before = Census::Take();
    Ran ran;
    {
      Simulation simulation({.io = GetParam(),
                             .on_deadlock = [](const std::string& report) { ADD_FAILURE() << report; },
                             .max_time = absl::Hours(2)});
      const auto fault = entry.install(options);
      simulation.Run(Watched([](const Scenario& run, absl::Status& status) -> Task<void> {
        status = co_await run.run();
      }(scenario, ran.status)));
      ran.calls = fault->calls();
    }
    EXPECT_EQ(Census::Take(), before);
    return ran;
  }
};
INSTANTIATE_TEST_SUITE_P(Everywhere, EveryErrnoTest, ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                         [](const auto& info) { return info.param == IoBackend::kUring ? "uring" : "epoll"; });

TEST_P(EveryErrnoTest, IsTheStatusOrIsAbsorbedAndNothingHangsOrIsLeft) {
  const bool uring = GetParam() == IoBackend::kUring;
  ProofRow proof("F2", uring ? "every errno of every call of I/O, uring" : "every errno of every call of I/O, epoll");
  int64_t runs = 0;
  for (const Scenario& scenario : Scenarios()) {
    std::vector<Entry> entries = scenario.entries;
    for (Entry& entry : OfDrivers()) entries.push_back(std::move(entry));
    for (const Entry& entry : entries) {
      const Ran counted = Run(scenario, entry, {.times = 0});
      ASSERT_TRUE(counted.status.ok()) << scenario.name << ": " << counted.status;
      for (int64_t k = 1; k <= counted.calls; ++k) {
        // A run may make fewer calls: the network takes its time, and one that need not wait does not try again.
        const auto expect = [&](int error, int64_t times, int expected) {
          const Ran ran = Run(scenario, entry, {.first = k, .times = times, .error = error});
          ++runs;
          if (entry.drivers_too && ran.status.ok()) return;
          EXPECT_EQ(ErrnoOf(ran.status), ran.calls < k ? 0 : expected)
              << scenario.name << ", " << entry.name << " " << k << " of " << counted.calls << ", errno " << error
              << (times == 1 ? ": " : ", and from there on: ") << ran.status;
        };
        for (const int64_t times : {int64_t{1}, ScopedSyscallFault::kForever}) {
          for (const int error : entry.errnos) expect(error, times, error);
          for (const int error : entry.harmless) expect(error, times, 0);
        }
        for (const int error : entry.absorbed) expect(error, 1, 0);
        if (HasFailure()) return;
      }
    }
  }
  proof.AddRuns(runs);
  EXPECT_GT(runs, 300);
}

}  // namespace
}  // namespace weft::testing
