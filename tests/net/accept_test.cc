// Goal: an Accept() outlives every shortage of descriptors and memory, at once where this process ends it, and soon
// where somebody else does; it can be cancelled meanwhile, and what it cannot outlive is a status.
// Method: the process's own limit of descriptors, on both backends; errors of accept4 through the table of system
// calls, on epoll. In simulations the virtual clock says whether it waited.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/base/errno_status.h"
#include "lib/coro/frame_fault.h"
#include "lib/io/accept_retry.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "tests/support/on_both.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/unix_stream.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::AcceptRetry;
using internal::ScopedSyscallFault;
using internal::Syscalls;
using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

class AcceptTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(AcceptTest);

TcpListener Listen(net::ListenOptions options = {}) { return TcpListener::Bind("127.0.0.1:0", options).value(); }

Task<TcpStream> Client(const TcpListener& listener) {
  co_return (co_await TcpStream::Connect(*listener.local_address())).value();
}

// While it lives, the process can open `more` descriptors, and no others.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int more) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const int lowest_free = ::dup(STDERR_FILENO);
    ::close(lowest_free);
    const rlimit tight = {.rlim_cur = static_cast<rlim_t>(lowest_free + more), .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_;
};

// Until whoever introduced itself has found no descriptor, and waits.
Task<void> UntilShort(Introduction& accepting) {
  for (int i = 0; i < 20; ++i) co_await accepting.AwaitParked();
}

TEST_P(AcceptTest, AShortageIsOverWhenASocketOfThisProcessIsClosed) {
  Everywhere([]() -> Task<void> {
    constexpr int kAccepts = 3;
    TcpListener listener = Listen();
    std::vector<TcpStream> clients;
    std::vector<TcpListener> ballast;
    for (int i = 0; i < kAccepts; ++i) {
      clients.push_back(co_await Client(listener));
      ballast.push_back(Listen());
    }
    const std::optional<DescriptorLimit> none(0);
    const MonotonicTime before = MonotonicNow();
    Introduction accepting[kAccepts];
    ShutdownOnFailure scope;
    std::vector<Subtask<TcpStream>> streams;
    for (Introduction& each : accepting) {
      streams.push_back(scope.Fork([&listener, &each]() -> Task<absl::StatusOr<TcpStream>> {
        each.Make();
        co_return co_await listener.Accept();
      }));
      co_await UntilShort(each);
    }
    for (TcpListener& each : ballast) each.Close();
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    if (GetParam().simulated()) EXPECT_EQ(MonotonicNow(), before) << "it waited for a pause to end";
  });
}

TEST_P(AcceptTest, AShortageThatEndsElsewhereIsNoticedAfterAPause) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    TcpStream client = co_await Client(listener);
    std::optional<DescriptorLimit> none(0);
    const MonotonicTime before = MonotonicNow();
    ShutdownOnFailure scope;
    scope.Fork([&listener]() -> Task<absl::Status> { co_return (co_await listener.Accept()).status(); });
    co_await Sleep(absl::Milliseconds(100));
    none.reset();
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
    const absl::Duration waited = MonotonicNow() - before;
    EXPECT_GE(waited, absl::Milliseconds(100));
    // 5, 10, 20, 40 and 80 ms, and a tick of the timer wheel each.
    if (GetParam().simulated()) EXPECT_LE(waited, absl::Milliseconds(157));
  });
}

TEST_P(AcceptTest, AShortageCanBeCancelledAndTheListenerIsAsItWas) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    TcpStream client = co_await Client(listener);
    {
      const DescriptorLimit none(0);
      for (const int milliseconds : {0, 1, 7, 40}) {
        absl::StatusOr<TcpStream> late = co_await WithTimeout(absl::Milliseconds(milliseconds), listener.Accept());
        EXPECT_EQ(ReasonOf(late.status()).kind, CancelReason::Kind::kTimeout) << late.status();
      }
      Introduction accepting;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        accepting.Make();
        (co_await listener.Accept()).IgnoreError();
        ADD_FAILURE() << "it was cancelled";
      });
      co_await UntilShort(accepting);
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
    }
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

TEST_P(AcceptTest, AShortageEndsWithItsListener) {
  for (const bool shutdown : {false, true}) {
    Everywhere([shutdown]() -> Task<void> {
      TcpListener listener = Listen();
      TcpStream client = co_await Client(listener);
      const DescriptorLimit none(0);
      const MonotonicTime before = MonotonicNow();
      Introduction accepting;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        accepting.Make();
        const absl::Status status = (co_await listener.Accept()).status();
        EXPECT_TRUE(net::IsClosed(status)) << status;
      });
      co_await UntilShort(accepting);
      shutdown ? listener.Shutdown() : listener.Close();
      (co_await scope.Join()).IgnoreFailures();
      if (GetParam().simulated()) EXPECT_EQ(MonotonicNow(), before) << "it waited for a pause to end";
    });
  }
}

TEST_P(AcceptTest, WithoutMemoryForItAConnectionStaysInTheBacklog) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen({.wait_when_exhausted = false});
    TcpStream client = co_await Client(listener);
    {
      Task<absl::StatusOr<TcpStream>> accept = listener.Accept();
      const internal::ScopedFrameFault fault({});
      EXPECT_EQ(ErrnoOf((co_await std::move(accept)).status()), ENOMEM);
    }
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

TEST_P(AcceptTest, WithoutMemoryForItAnAcceptIsACheckpointStill) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen({.wait_when_exhausted = false});
    Introduction accepting;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      Task<absl::StatusOr<TcpStream>> accept = listener.Accept();
      accepting.Make();
      co_await UntilAsked();
      const internal::ScopedFrameFault fault({.here = true});
      (co_await std::move(accept)).IgnoreError();
      ADD_FAILURE() << "it was cancelled";
    });
    co_await accepting.Await();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(AcceptTest, AnOptionMakesAShortageAStatus) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen({.wait_when_exhausted = false});
    TcpStream client = co_await Client(listener);
    {
      const DescriptorLimit none(0);
      for (int i = 0; i < 3; ++i) {
        absl::StatusOr<TcpStream> none_left = co_await listener.Accept();
        EXPECT_EQ(none_left.status().code(), absl::StatusCode::kResourceExhausted) << none_left.status();
        EXPECT_EQ(ErrnoOf(none_left.status()), EMFILE);
      }
    }
    EXPECT_TRUE((co_await listener.Accept()).ok());
  });
}

// Returns when what carriers have started before is with the kernel, and what that had to say is with them.
Task<void> RoundTrip(net::UnixStream& near, net::UnixStream& far) {
  Introduction reading;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    reading.Make();
    char byte;
    EXPECT_TRUE((co_await far.ReadExactly({&byte, 1})).ok());
  });
  co_await reading.AwaitParked();
  EXPECT_TRUE((co_await near.Write("x")).ok());
  (co_await scope.Join()).IgnoreFailures();
}

// The connection stays in the backlog, and no other client comes: the other Accept() gets it.
TEST_P(AcceptTest, AnAcceptThatGivesUpInAShortageLeavesTheConnectionToAnother) {
  for (const bool waits : {true, false}) {
    Everywhere([waits]() -> Task<void> {
      TcpListener listener = Listen({.wait_when_exhausted = waits});
      const SocketAddress address = *listener.local_address();
      const io::UniqueDescriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      auto [near, far] = net::UnixStream::Pair().value();
      co_await RoundTrip(near, far);
      const DescriptorLimit one(1);
      Event gives_up, gone;
      Introduction first, second;
      ShutdownOnFailure scope;
      scope.Fork([&]() -> Task<void> {
        first.Make();
        (co_await WithStopEvent(gives_up, listener.Accept())).IgnoreError();
        gone.Set();
      });
      co_await first.AwaitParked();
      scope.Fork([&]() -> Task<absl::Status> {
        second.Make();
        for (;;) {
          absl::Status status = (co_await listener.Accept()).status();
          if (ErrnoOf(status) != EMFILE) co_return status;
          co_await Yield();
        }
      });
      co_await second.AwaitParked();
      co_await RoundTrip(near, far);
      io::UniqueDescriptor last(::dup(STDERR_FILENO));
      EXPECT_GE(last.get(), 0);
      EXPECT_EQ(::connect(client.get(), address.data(), address.size()), 0);
      co_await RoundTrip(near, far);
      gives_up.Set();
      co_await gone.Wait();
      last.Reset();
      absl::Status joined = co_await scope.Join();
      EXPECT_TRUE(joined.ok()) << joined;
    });
  }
}

// Four clients at a time need four descriptors, so two at least are left for the server.
TEST_P(AcceptTest, AServerAtTheLimitServesEveryClient) {
  Everywhere([]() -> Task<void> {
    constexpr int kClients = 100;
    TcpListener listener = Listen();
    const SocketAddress address = *listener.local_address();
    const DescriptorLimit six(6);
    ShutdownOnFailure scope;
    scope.Fork([&listener]() -> Task<absl::Status> {
      ShutdownOnFailure connections;
      for (int i = 0; i < kClients; ++i) {
        absl::StatusOr<TcpStream> stream = co_await listener.Accept();
        if (!stream.ok()) co_return stream.status();
        connections.Fork([s = *std::move(stream)]() mutable -> Task<absl::Status> {
          char byte;
          if (absl::Status read = co_await s.ReadExactly({&byte, 1}); !read.ok()) co_return read;
          co_return co_await s.Write({&byte, 1});
        });
      }
      co_return co_await connections.Join();
    });
    scope.Fork([address]() -> Task<absl::Status> {
      ShutdownOnFailure clients({.max_concurrency = 4});
      for (int i = 0; i < kClients; ++i) {
        clients.Fork([address]() -> Task<absl::Status> {
          absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(address);
          while (ErrnoOf(stream.status()) == EMFILE) {  // the server has them
            co_await Yield();
            stream = co_await TcpStream::Connect(address);
          }
          if (!stream.ok()) co_return stream.status();
          if (absl::Status sent = co_await stream->Write("x"); !sent.ok()) co_return sent;
          char byte;
          co_return co_await stream->ReadExactly({&byte, 1});
        });
      }
      co_return co_await clients.Join();
    });
    absl::Status joined = co_await scope.Join();
    EXPECT_TRUE(joined.ok()) << joined;
  });
}

// ---- Every errno, on epoll.

// A listener is watched when its first Accept() waits. ENOSPC is the limit of the user's watches.
TEST(AcceptWatchTest, AListenerThatCannotBeWatchedYetWaits) {
  for (const int error : {ENOMEM, ENOSPC}) {
    Simulation({.io = IoBackend::kEpoll}).Run([](int e) -> Task<void> {
      TcpListener listener = Listen();
      const ScopedSyscallFault fault(&Syscalls::epoll_ctl, {.times = 3, .error = e});
      ShutdownOnFailure scope;
      scope.Fork([&listener]() -> Task<absl::Status> { co_return (co_await listener.Accept()).status(); });
      co_await Sleep(absl::Seconds(1));
      TcpStream client = co_await Client(listener);
      EXPECT_TRUE((co_await scope.Join()).ok());
      EXPECT_GE(fault.calls(), 4);
    }(error));
  }
}

// What accept4 fails with the first `times` times; then there is a connection.
struct Outcome {
  absl::Status status;
  absl::Duration waited;
  int64_t calls;
};
Outcome AcceptAfter(int error, int64_t times, net::ListenOptions options = {}) {
  return Simulation({.io = IoBackend::kEpoll}).Run([](int e, int64_t n, net::ListenOptions o) -> Task<Outcome> {
    TcpListener listener = Listen(o);
    TcpStream client = co_await Client(listener);
    const ScopedSyscallFault fault(&Syscalls::accept4, {.times = n, .error = e});
    const MonotonicTime before = MonotonicNow();
    absl::StatusOr<TcpStream> stream = co_await WithTimeout(absl::Seconds(10), listener.Accept());
    co_return Outcome{stream.status(), MonotonicNow() - before, fault.calls()};
  }(error, times, options));
}

const std::set<int> kShortages = {EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
const std::set<int> kBroken = {ECONNABORTED, ECONNRESET, ECONNREFUSED, ETIMEDOUT, EPERM,     EPROTO, ENOPROTOOPT,
                               EOPNOTSUPP,   ENETDOWN,   ENETUNREACH,  EHOSTDOWN, EHOSTUNREACH, ENONET};

TEST(AcceptErrorTest, EveryErrnoIsPassedOverOutlivedOrAStatus) {
  int tried = 0;
  for (int error = 1; error < 256; ++error) {
    if (internal::ErrnoName(error).empty() || error == EAGAIN || error == EINTR) continue;
    SCOPED_TRACE(std::string(internal::ErrnoName(error)));
    ++tried;
    const Outcome outcome = AcceptAfter(error, 1);
    if (kShortages.contains(error) || kBroken.contains(error)) {
      EXPECT_TRUE(outcome.status.ok()) << outcome.status;
      EXPECT_EQ(outcome.calls, 2);
    } else {
      EXPECT_EQ(ErrnoOf(outcome.status), error) << outcome.status;
      EXPECT_EQ(outcome.calls, 1);
    }
    EXPECT_EQ(outcome.waited, absl::ZeroDuration());
  }
  EXPECT_GT(tried, 120);
}

TEST(AcceptErrorTest, AShortageIsTriedAgainSeldom) {
  for (const int error : kShortages) {
    const Outcome outcome = AcceptAfter(error, ScopedSyscallFault::kForever);
    EXPECT_EQ(ReasonOf(outcome.status).kind, CancelReason::Kind::kTimeout) << outcome.status;
    // Twice at once; after 5, 10 ... 640 ms; then every second of the ten.
    EXPECT_EQ(outcome.calls, 2 + 8 + 8);
  }
}

TEST(AcceptErrorTest, BrokenConnectionsArePassedOverAtOnceButNotForEver) {
  for (const int error : kBroken) {
    const Outcome some = AcceptAfter(error, AcceptRetry::kMaxBroken - 1);
    EXPECT_TRUE(some.status.ok()) << some.status;
    EXPECT_EQ(some.waited, absl::ZeroDuration());
    const Outcome only = AcceptAfter(error, ScopedSyscallFault::kForever);
    EXPECT_EQ(ReasonOf(only.status).kind, CancelReason::Kind::kTimeout) << only.status;
    EXPECT_LE(only.calls, AcceptRetry::kMaxBroken + 20);
  }
}

TEST(AcceptErrorTest, WhereShortagesAreStatusesBrokenConnectionsArePassedOverStill) {
  for (const int error : kShortages) {
    const Outcome outcome = AcceptAfter(error, 1, {.wait_when_exhausted = false});
    EXPECT_EQ(ErrnoOf(outcome.status), error) << outcome.status;
    EXPECT_EQ(outcome.status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(outcome.calls, 1);
  }
  for (const int error : kBroken) {
    EXPECT_TRUE(AcceptAfter(error, AcceptRetry::kMaxBroken - 1, {.wait_when_exhausted = false}).status.ok());
    const Outcome only = AcceptAfter(error, ScopedSyscallFault::kForever, {.wait_when_exhausted = false});
    EXPECT_EQ(ErrnoOf(only.status), error) << only.status;
  }
}

}  // namespace
}  // namespace weft::testing
