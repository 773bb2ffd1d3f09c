// Goal: UnixListener and UnixStream keep their contract, whichever backend and however many carriers: the streams, the
// file, and the descriptors that travel. Method: on_backends.h; a census of descriptors; errors of system calls.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/net_fixture.h"
#include "tests/net/on_backends.h"
#include "tests/support/on_both.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/unix_listener.h"
#include "weft/net/unix_stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;
using io::UniqueDescriptor;
using net::SocketAddress;
using net::UnixListener;
using net::UnixStream;

class UnixStreamTest : public OnBackends {};
WEFT_ON_BACKENDS(UnixStreamTest);
class ShortOfDescriptorsTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(ShortOfDescriptorsTest);

std::pair<UnixStream, UnixStream> Pair() { return UnixStream::Pair().value(); }

// ---- The stream.

TEST_P(UnixStreamTest, WhatIsWrittenIsReadUntilTheEndOfTheStream) {
  Everywhere([]() -> Task<void> {
    const TemporaryDirectory directory;
    UnixListener listener = UnixListener::Bind(directory / "s").value();
    UnixStream client = (co_await UnixStream::Connect(directory / "s")).value();
    UnixStream server = (co_await listener.Accept()).value();
    EXPECT_TRUE((co_await client.Write("hello ")).ok());
    const std::string world = "world";
    EXPECT_TRUE((co_await client.Write(std::vector<ConstBuffer>{ConstBuffer(world), ConstBuffer("!")})).ok());
    EXPECT_TRUE(client.ShutdownWrite().ok());
    EXPECT_TRUE((co_await server.WaitHangUp()).ok());
    EXPECT_EQ(co_await ReadToEnd(server), "hello world!");
    EXPECT_TRUE((co_await server.Write("and back")).ok());
    server.Close();
    char back[8];
    EXPECT_TRUE((co_await client.ReadExactly(back)).ok());
    EXPECT_EQ(co_await ReadToEnd(client), "");
  });
}

TEST_P(UnixStreamTest, AWriteOfMoreThanTheKernelBuffersSendsAllOfIt) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const std::string data(3'000'000, 'x');
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> {
      absl::Status sent = co_await a.Write(data);
      if (sent.ok()) sent = a.ShutdownWrite();
      co_return sent;
    });
    EXPECT_EQ((co_await ReadToEnd(b)).size(), data.size());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(UnixStreamTest, AnOperationOnNoBytesWaitsForNobody) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    std::vector<UniqueDescriptor> none;
    EXPECT_EQ(*co_await a.Read({}), 0u);
    EXPECT_EQ(*co_await a.Receive({}, none), 0u);
    EXPECT_TRUE((co_await a.ReadExactly({})).ok());
    EXPECT_TRUE((co_await a.Write({})).ok());
    EXPECT_TRUE((co_await a.Send({}, {})).ok());
    EXPECT_TRUE(a.ShutdownWrite().ok());
    EXPECT_TRUE((co_await a.Send({}, {})).ok());
    b.Close();
    EXPECT_TRUE((co_await a.Send({}, {})).ok());
    a.Close();
    EXPECT_TRUE(net::IsClosed((co_await a.Receive({}, none)).status()));
    EXPECT_TRUE(net::IsClosed(co_await a.Send({}, {})));
  });
}

TEST_P(UnixStreamTest, EveryWaitEndsWhenItIsCancelledAndLosesNothing) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    std::vector<UniqueDescriptor> none;
    char buffer[16];
    EXPECT_FALSE((co_await StopOnceItWaits([](UnixStream& s, MutableBuffer to) -> Task<absl::StatusOr<size_t>> {
                   co_return co_await s.Read(to);
                 }(a, buffer))).ok());
    EXPECT_FALSE((co_await StopOnceItWaits(a.Receive(buffer, none))).ok());
    EXPECT_FALSE((co_await StopOnceItWaits(a.ReadExactly(buffer))).ok());
    EXPECT_FALSE((co_await StopOnceItWaits(a.WaitHangUp())).ok());
    EXPECT_TRUE((co_await b.Write("still there")).ok());
    EXPECT_EQ(*co_await a.Receive(buffer, none), 11u);
    const std::string large(3'000'000, 'x');
    EXPECT_FALSE((co_await StopOnceItWaits(a.Write(large))).ok());
    EXPECT_FALSE((co_await StopOnceItWaits(a.Send(large, {{STDERR_FILENO}}))).ok());
    const TemporaryDirectory directory;
    UnixListener listener = UnixListener::Bind(directory / "s").value();
    EXPECT_FALSE((co_await StopOnceItWaits(listener.Accept())).ok());
    UnixStream client = (co_await UnixStream::Connect(directory / "s")).value();
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

TEST_P(UnixStreamTest, ACloseEndsWhatIsPending) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    UnixListener listener = UnixListener::Bind(AbstractName("close")).value();
    Introduction receiving, accepting;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      receiving.Make();
      char buffer[4];
      std::vector<UniqueDescriptor> none;
      EXPECT_TRUE(net::IsClosed((co_await a.Receive(buffer, none)).status()));
    });
    scope.Fork([&]() -> Task<void> {
      accepting.Make();
      EXPECT_TRUE(net::IsClosed((co_await listener.Accept()).status()));
    });
    co_await receiving.AwaitParked();
    co_await accepting.AwaitParked();
    a.Close();
    listener.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(a.is_open());
    EXPECT_TRUE(net::IsClosed(a.peer_credentials().status()));
  });
}

TEST_P(UnixStreamTest, ThePeerIsKnown) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const net::PeerCredentials peer = a.peer_credentials().value();
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(peer.uid, ::getuid());
    EXPECT_EQ(peer.gid, ::getgid());
    EXPECT_EQ(a.peer_address()->ToString(), "unix:");
    co_return;
  });
}

// ---- Connecting, and the file.

TEST_P(UnixStreamTest, AConnectWaitsWhileTheBacklogIsFull) {
  Everywhere([]() -> Task<void> {
    const std::string name = AbstractName("full");
    UnixListener listener = UnixListener::Bind(name, {.backlog = 0}).value();
    UnixStream first = (co_await UnixStream::Connect(name)).value();
    EXPECT_FALSE((co_await StopOnceItWaits(UnixStream::Connect(name))).ok());
    Introduction connecting;
    ShutdownOnFailure scope;
    scope.Fork([&]() -> Task<absl::Status> {
      connecting.Make();
      co_return (co_await UnixStream::Connect(name)).status();
    });
    co_await connecting.AwaitParked();
    EXPECT_TRUE((co_await listener.Accept()).ok());
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

TEST_P(UnixStreamTest, AConnectToNobodyIsAStatusWithTheErrno) {
  Everywhere([]() -> Task<void> {
    const TemporaryDirectory directory;
    absl::Status none = (co_await UnixStream::Connect(directory / "s")).status();
    EXPECT_EQ(none.code(), absl::StatusCode::kNotFound) << none;
    EXPECT_EQ(ErrnoOf((co_await UnixStream::Connect("@weft-nobody")).status()), ECONNREFUSED);
    EXPECT_EQ((co_await UnixStream::Connect("")).status().code(), absl::StatusCode::kInvalidArgument);
    absl::Status tcp = (co_await UnixStream::Connect(*SocketAddress::Parse("127.0.0.1:80"))).status();
    EXPECT_EQ(tcp.code(), absl::StatusCode::kInvalidArgument) << tcp;
    tcp = (co_await net::TcpStream::Connect("unix:/tmp/x")).status();
    EXPECT_EQ(tcp.code(), absl::StatusCode::kInvalidArgument) << tcp;
  });
}

TEST_P(UnixStreamTest, TheFileGoesWithItsListener) {
  Everywhere([]() -> Task<void> {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    for (const int way : {0, 1, 2, 3}) {
      std::optional<UnixListener> listener(UnixListener::Bind(path).value());
      EXPECT_TRUE(Exists(path));
      EXPECT_EQ(listener->local_address()->path(), path);
      UnixListener moved = *std::move(listener);
      listener.reset();
      EXPECT_TRUE(Exists(path)) << "it went with what was moved from";
      if (way == 0) moved.Close();
      if (way == 1) moved.Shutdown();
      if (way == 2) moved = UnixListener::Bind(directory / "t").value();
      if (way == 3) const UnixListener end = std::move(moved);
      EXPECT_FALSE(Exists(path)) << way;
    }
    co_return;
  });
}

// accept(2) of a Unix listener that was shut down does not say so.
TEST_P(UnixStreamTest, AShutdownEndsTheAcceptsThatArePendingAndThoseThatComeLater) {
  Everywhere([]() -> Task<void> {
    for (const bool by_another_process : {false, true}) {
      if (by_another_process && GetParam().kind == NetPlace::Kind::kMachine) continue;  // the child has its own
      UnixListener listener = UnixListener::Bind(AbstractName("listener")).value();
      AwaitAll scope;
      Introduction introduction;
      scope.Fork([&]() -> Task<void> {
        introduction.Make();
        const absl::Status status = (co_await listener.Accept()).status();
        EXPECT_TRUE(by_another_process ? ErrnoOf(status) == EINVAL : net::IsClosed(status)) << status;
      });
      co_await introduction.AwaitParked();
      const pid_t child = by_another_process ? ::fork() : (listener.Shutdown(), -1);
      if (child == 0) {
        listener.Shutdown();
        ::_exit(0);
      }
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_FALSE((co_await listener.Accept()).ok());
      if (by_another_process) EXPECT_EQ(::waitpid(child, nullptr, 0), child);
    }
  });
}

// Linux keeps the backlog of a Unix listener that is shut down.
TEST_P(UnixStreamTest, AShutdownEndsTheConnectionsInTheBacklog) {
  Everywhere([]() -> Task<void> {
    const std::string name = AbstractName("backlog");
    UnixListener listener = UnixListener::Bind(name).value();
    UnixStream silent = (co_await UnixStream::Connect(name)).value();
    UnixStream talks = (co_await UnixStream::Connect(name)).value();
    EXPECT_TRUE((co_await talks.Write("hello")).ok());
    listener.Shutdown();
    EXPECT_TRUE(net::IsClosed((co_await listener.Accept()).status()));
    char buffer[8];
    EXPECT_EQ((co_await silent.Read(buffer)).value_or(1), 0u);
    EXPECT_EQ(ErrnoOf(co_await silent.Write("x")), EPIPE);
    EXPECT_EQ(ErrnoOf((co_await talks.Read(buffer)).status()), ECONNRESET);
    EXPECT_EQ(ErrnoOf((co_await UnixStream::Connect(name)).status()), ECONNREFUSED);
  });
}

// What a shutdown could not take out of the backlog, because no descriptor was free, is no connection for an Accept().
TEST_P(UnixStreamTest, AfterAShutdownInAShortageNothingIsAccepted) {
  Everywhere([]() -> Task<void> {
    const std::string name = AbstractName("backlog");
    UnixListener listener = UnixListener::Bind(name).value();
    UnixStream client = (co_await UnixStream::Connect(name)).value();
    {
      const ScopedSyscallFault fault(&Syscalls::accept4, {.error = EMFILE});
      listener.Shutdown();
    }
    EXPECT_TRUE(net::IsClosed((co_await listener.Accept()).status()));
    char buffer[8];
    EXPECT_EQ((co_await client.Read(buffer)).value_or(1), 0u);
  });
}

TEST(UnixListenerTest, AFileThatIsAnothersNowIsLeftAlone) {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  UnixListener first = UnixListener::Bind(path).value();
  ASSERT_EQ(::rename(path.c_str(), (directory / "t").c_str()), 0);
  const UnixListener second = UnixListener::Bind(path).value();
  first.Close();
  EXPECT_TRUE(Exists(path));
}

TEST(UnixListenerTest, AChildOfForkLeavesTheFile) {
  const TemporaryDirectory directory;
  std::optional<UnixListener> listener(UnixListener::Bind(directory / "s").value());
  const pid_t child = ::fork();
  if (child == 0) {
    listener.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(Exists(directory / "s"));
}

// A socket that is bound to the file; the file stays when it is closed.
UniqueDescriptor BoundTo(const std::string& path) {
  UniqueDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = *SocketAddress::Unix(path);
  EXPECT_EQ(::bind(fd.get(), address.data(), address.size()), 0);
  return fd;
}

TEST(UnixListenerTest, AFileThatIsLeftOverIsSaidAndReplacedOnRequest) {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  BoundTo(path).Reset();
  absl::Status left = UnixListener::Bind(path).status();
  EXPECT_EQ(left.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrnoOf(left), EADDRINUSE);
  EXPECT_NE(left.message().find("left over by a socket that is closed"), absl::string_view::npos) << left;
  EXPECT_TRUE(UnixListener::Bind(path, {.replace_stale = true}).ok());
}

TEST(UnixListenerTest, AFileInUseIsNotReplaced) {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  {
    const UnixListener other = UnixListener::Bind(path).value();
    EXPECT_EQ(ErrnoOf(UnixListener::Bind(path, {.replace_stale = true}).status()), EADDRINUSE);
  }
  {
    const UniqueDescriptor other = BoundTo(path);  // it does not listen yet
    EXPECT_EQ(ErrnoOf(UnixListener::Bind(path, {.replace_stale = true}).status()), EADDRINUSE);
    ::unlink(path.c_str());
  }
  UniqueDescriptor(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).Reset();
  absl::Status file = UnixListener::Bind(path, {.replace_stale = true}).status();
  EXPECT_NE(file.message().find("or is no socket"), absl::string_view::npos) << file;
  EXPECT_TRUE(Exists(path));
}

TEST(UnixListenerTest, ABindThatFailsLeavesNothing) {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const int64_t before = OpenDescriptors();
  {
    const ScopedSyscallFault fault(&Syscalls::listen, {.error = ENOBUFS});
    EXPECT_EQ(ErrnoOf(UnixListener::Bind(path).status()), ENOBUFS);
  }
  {
    const internal::ScopedFrameFault no_memory({.here = true});
    EXPECT_EQ(ErrnoOf(UnixListener::Bind(path).status()), ENOMEM);
  }
  for (const int allocation : {1, 2}) {
    const internal::ScopedFrameFault no_memory({.first = allocation, .here = true});
    EXPECT_EQ(ErrnoOf(UnixStream::Pair().status()), ENOMEM);
  }
  EXPECT_FALSE(Exists(path));
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(UnixListenerTest, WhatIsNoUnixSocketIsInvalid) {
  EXPECT_EQ(UnixListener::Bind("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UnixListener::Bind(std::string(108, 'x')).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UnixListener::Bind(*SocketAddress::Parse(":80")).status().code(), absl::StatusCode::kInvalidArgument);
}

// ---- Descriptors.

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(internal::Sys().pipe2(fds, O_CLOEXEC), 0);
    read.Reset(fds[0]);
    write.Reset(fds[1]);
  }
  UniqueDescriptor read, write;
};

TEST_P(UnixStreamTest, DescriptorsTravelWithTheBytes) {
  Everywhere([]() -> Task<void> {
    const int64_t before = OpenDescriptors();
    {
      auto [a, b] = Pair();
      Pipe pipe;
      EXPECT_TRUE((co_await a.Send("two", {{pipe.read.get(), pipe.write.get()}})).ok());
      EXPECT_TRUE((co_await a.Write("none")).ok());
      std::vector<UniqueDescriptor> got;
      char buffer[16];
      EXPECT_EQ(*co_await b.Receive(buffer, got), 3u);
      EXPECT_EQ(got.size(), 2u);
      EXPECT_EQ(internal::Sys().fcntl(got[0].get(), F_GETFD, 0), FD_CLOEXEC);
      EXPECT_EQ(internal::Sys().write(got[1].get(), "through", 7), 7);
      EXPECT_EQ(internal::Sys().read(pipe.read.get(), buffer, sizeof(buffer)), 7);
      EXPECT_EQ(*co_await b.Receive(buffer, got), 4u);
      EXPECT_EQ(got.size(), 2u);
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(UnixStreamTest, AsManyDescriptorsTravelAsAMessageCarries) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const std::vector<int> many(UnixStream::kMaxDescriptors, STDERR_FILENO);
    const std::string large(1'000'000, 'x');
    ShutdownOnFailure scope;
    scope.Fork(a.Send(large, many));
    std::vector<UniqueDescriptor> got;
    char buffer[1000];
    EXPECT_GT((co_await b.Receive(buffer, got)).value_or(0), 0u);
    EXPECT_EQ(got.size(), many.size());
    size_t rest = 0;
    while (rest + sizeof(buffer) < large.size()) rest += (co_await b.Receive(buffer, got)).value_or(large.size());
    EXPECT_EQ(got.size(), many.size());
    EXPECT_TRUE((co_await scope.Join()).ok());
  });
}

TEST_P(UnixStreamTest, WhatCannotTravelIsRefusedAndNothingIsSent) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const std::vector<int> too_many(UnixStream::kMaxDescriptors + 1, STDERR_FILENO);
    EXPECT_EQ((co_await a.Send("x", too_many)).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ((co_await a.Send("x", {{STDERR_FILENO, -1}})).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ((co_await a.Send({}, {{STDERR_FILENO}})).code(), absl::StatusCode::kInvalidArgument);
    a.Close();
    EXPECT_TRUE(net::IsClosed(co_await a.Send("x", {{STDERR_FILENO}})));
    EXPECT_EQ(co_await ReadToEnd(b), "");
  });
}

// One that is closed between the look and the call.
TEST_P(UnixStreamTest, ADescriptorThatIsClosedMeanwhileIsNotTakenForAClosedStream) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const ScopedSyscallFault fault(&Syscalls::sendmsg, {.times = 1, .error = EBADF});
    absl::Status sent = co_await a.Send("x", {{STDERR_FILENO}});
    EXPECT_EQ(sent.code(), absl::StatusCode::kInvalidArgument) << sent;
  });
}

TEST_P(UnixStreamTest, DescriptorsThatNobodyTakesAreClosed) {
  Everywhere([]() -> Task<void> {
    const int64_t before = OpenDescriptors();
    for (const bool read : {false, true}) {
      auto [a, b] = Pair();
      Pipe pipe;
      EXPECT_TRUE((co_await a.Send("x", {{pipe.write.get()}})).ok());
      char buffer[4];
      if (read) EXPECT_EQ(*co_await b.Read(buffer), 1u);
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

// Some are cancelled while they wait, some when the descriptors have come already.
TEST_P(UnixStreamTest, ACancelledReceiveLeaksNoDescriptor) {
  Everywhere([]() -> Task<void> {
    const int64_t before = OpenDescriptors();
    int delivered = 0;
    constexpr int kRounds = 40;
    for (int i = 0; i < kRounds; ++i) {
      auto [a, b] = Pair();
      std::vector<UniqueDescriptor> got;
      Introduction receiving;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        receiving.Make();
        char buffer[4];
        absl::StatusOr<size_t> received = co_await b.Receive(buffer, got);
        EXPECT_TRUE(received.ok()) << received.status();
        ++delivered;
      });
      if (i % 2 == 0) co_await receiving.AwaitParked();
      EXPECT_TRUE((co_await a.Send("x", {{STDERR_FILENO, STDERR_FILENO}})).ok());
      if (i % 4 < 2) co_await Yield();
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
      // Either it has them, or they are still to be received.
      if (got.empty()) {
        char buffer[4];
        EXPECT_EQ(*co_await b.Receive(buffer, got), 1u);
      }
      EXPECT_EQ(got.size(), 2u);
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

// Somebody may set options that Weft does not know: through native_handle(), or before Adopt().
TEST_P(ShortOfDescriptorsTest, WhatElseTheKernelSendsIsNoShortageAndDoesNotLeak) {
  Everywhere([]() -> Task<void> {
    constexpr int kPassPidfd = 76;  // Linux 6.5; not in every header
    const int64_t before = OpenDescriptors();
    for (const int option : {SO_PASSCRED, kPassPidfd}) {
      auto [a, b] = Pair();
      const int on = 1;
      if (::setsockopt(b.native_handle(), SOL_SOCKET, option, &on, sizeof(on)) != 0) {
        EXPECT_EQ(errno, ENOPROTOOPT);
        continue;
      }
      const std::vector<int> many(UnixStream::kMaxDescriptors, STDERR_FILENO);
      std::vector<UniqueDescriptor> got;
      char buffer[4];
      EXPECT_TRUE((co_await a.Send("x", many)).ok());
      absl::StatusOr<size_t> received = co_await b.Receive(buffer, got);
      EXPECT_TRUE(received.ok()) << received.status();
      EXPECT_EQ(got.size(), many.size());
      EXPECT_TRUE((co_await a.Write("y")).ok());
      EXPECT_EQ((co_await b.Receive(buffer, got)).value_or(0), 1u);
      EXPECT_EQ(got.size(), many.size());
    }
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(ShortOfDescriptorsTest, AShortageIsSaidAndLeaksNone) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    EXPECT_TRUE((co_await a.Send("x", {{STDERR_FILENO, STDERR_FILENO, STDERR_FILENO}})).ok());
    const int64_t before = OpenDescriptors();
    rlimit limit;
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const int lowest_free = ::dup(STDERR_FILENO);
    ::close(lowest_free);
    const rlimit tight = {.rlim_cur = static_cast<rlim_t>(lowest_free + 1), .rlim_max = limit.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    std::vector<UniqueDescriptor> got;
    char buffer[4];
    absl::StatusOr<size_t> received = co_await b.Receive(buffer, got);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(received.status().code(), absl::StatusCode::kResourceExhausted) << received.status();
    EXPECT_TRUE(got.empty());
    EXPECT_EQ(OpenDescriptors(), before);
    EXPECT_TRUE((co_await a.Write("goes on")).ok());
    char rest[7];
    EXPECT_TRUE((co_await b.ReadExactly(rest)).ok());
  });
}

// ---- Errors of system calls.

TEST_P(UnixStreamTest, EachErrorOfASystemCallIsAStatusThatHasIt) {
  Everywhere([]() -> Task<void> {
    auto [a, b] = Pair();
    const std::string name = AbstractName("fault");
    UnixListener listener = UnixListener::Bind(name).value();
    std::vector<UniqueDescriptor> none;
    char buffer[4];
    for (const int error : {EACCES, ENOBUFS, ENOMEM, EPIPE}) {
      {
        const ScopedSyscallFault fault(&Syscalls::socketpair, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixStream::Pair().status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::socket, {.error = error});
        EXPECT_EQ(ErrnoOf((co_await UnixStream::Connect(name)).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::socket, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixListener::Bind(AbstractName("other")).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::bind, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixListener::Bind(AbstractName("other")).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::listen, {.error = error});
        EXPECT_EQ(ErrnoOf(UnixListener::Bind(AbstractName("other")).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::connect, {.error = error});
        EXPECT_EQ(ErrnoOf((co_await UnixStream::Connect(name)).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::sendmsg, {.error = error});
        EXPECT_EQ(ErrnoOf(co_await a.Send("x", {{STDERR_FILENO}})), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::recvmsg, {.error = error});
        EXPECT_EQ(ErrnoOf((co_await b.Receive(buffer, none)).status()), error);
      }
      {
        const ScopedSyscallFault fault(&Syscalls::getsockopt, {.error = error});
        EXPECT_EQ(ErrnoOf(a.peer_credentials().status()), error);
      }
    }
    const ScopedSyscallFault interrupted(&Syscalls::recvmsg, {.times = 3, .error = EINTR});
    EXPECT_TRUE((co_await a.Write("x")).ok());
    EXPECT_EQ(*co_await b.Receive(buffer, none), 1u);
  });
}

}  // namespace
}  // namespace weft::testing
