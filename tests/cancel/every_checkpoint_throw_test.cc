// Goal and method as every_checkpoint_test.cc, for a tree that throws: exceptions on their way out of scopes, caught
// and not, with children alive, and a catch (...) around every wait that must never see a cancellation.
#include <stdexcept>
#include <string>

#include "gtest/gtest.h"
#include "tests/cancel/every_checkpoint.h"
#include "tests/support/foreign_task.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

class EveryCheckpointThrowTest : public ::testing::TestWithParam<const char*> {};

struct Planned : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Task<int> Leaf(EveryCheckpoint& test, int ms) {
  Witness local;
  try {
    co_await Sleep(absl::Milliseconds(ms));
    test.UserCode();
    co_await Yield();
    test.UserCode();
  } catch (...) {
    ADD_FAILURE() << "a cancellation was caught";
  }
  co_return ms;
}

Task<int> Throws(EveryCheckpoint& test, int ms) {
  Witness local;
  co_await Leaf(test, ms);
  test.UserCode();
  throw Planned("after " + std::to_string(ms));
}

// An exception leaves while children live: the scope's destructor ends them.
Task<void> LeavesByException(EveryCheckpoint& test, Mutex& mutex) {
  Witness local;
  Event never;
  ShutdownOnFailure scope;
  scope.Fork(Leaf(test, 1000));
  scope.Fork([&never, kept = Witness()]() -> Task<void> { co_await never.Wait(); });
  scope.Fork([&mutex]() -> Task<void> {
    MutexGuard guard = co_await mutex.Lock();
    co_await Sleep(absl::Hours(1));
  });
  co_await Throws(test, 1);
}

// Another library's coroutine above a Task and below one.
Task<void> WaitsInForeignCode(EveryCheckpoint& test) {
  Witness local;
  other::baton baton;
  ShutdownOnFailure scope;
  scope.Fork([&baton]() -> Task<void> {
    // However it ends: foreign work that has begun is waited for.
    struct Posts {
      other::baton& baton;
      ~Posts() { baton.post(); }
    } posts{baton};
    co_await Sleep(absl::Milliseconds(1));
  });
  try {
    const int result = co_await Foreign([](EveryCheckpoint& test, other::baton& baton) -> other::task<int> {
      Witness local;
      test.UserCode();
      const int ms = co_await AsForeign(Leaf(test, 1));
      test.UserCode();
      co_await AsForeign(Foreign(baton));
      co_return ms;
    }(test, baton));
    // No UserCode() here: the end of foreign work is not a checkpoint.
    EXPECT_EQ(result, 1);
  } catch (...) {
    ADD_FAILURE() << "a cancellation was caught";
  }
  (co_await scope.Join()).ThrowIfFailed();
  test.UserCode();
}

Task<void> Second(EveryCheckpoint& test, Mutex& mutex) {
  Witness local;
  test.UserCode();
  try {
    co_await LeavesByException(test, mutex);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Planned&) {
    test.UserCode();
  }
  co_await Yield();
  test.UserCode();
  try {
    ShutdownOnFailure scope;
    auto one = scope.Fork(Leaf(test, 1));
    auto two = scope.Fork(Throws(test, 2));
    auto three = scope.Fork(Leaf(test, 500));
    (co_await scope.Join()).ThrowIfFailed();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Planned&) {
    test.UserCode();
  }
  co_await Yield();
  test.UserCode();
  try {
    auto [a, b] = co_await All(Leaf(test, 3), Throws(test, 1));
    ADD_FAILURE() << "nothing was thrown, but " << a << " and " << b << " returned";
  } catch (const Planned&) {
    test.UserCode();
  }
  co_await Yield();
  test.UserCode();
  absl::Status timed = co_await WithTimeout(absl::Milliseconds(1), LeavesByException(test, mutex));
  test.UserCode();
  EXPECT_EQ(ReasonOf(timed).kind, CancelReason::Kind::kTimeout);
}

Task<void> Echo(EveryCheckpoint& test, net::TcpListener& listener) {
  Witness local;
  net::TcpStream stream = (co_await listener.Accept()).value();
  test.UserCode();
  char buffer[4];
  (co_await stream.ReadExactly(absl::MakeSpan(buffer))).IgnoreError();
  test.UserCode();
  (co_await stream.Write(absl::string_view(buffer, sizeof(buffer)))).IgnoreError();
  test.UserCode();
}

Task<void> Ping(EveryCheckpoint& test, net::SocketAddress address) {
  Witness local;
  net::TcpStream stream = (co_await net::TcpStream::Connect(address)).value();
  test.UserCode();
  (co_await stream.Write("ping")).IgnoreError();
  test.UserCode();
  char buffer[4];
  (co_await stream.ReadExactly(absl::MakeSpan(buffer))).IgnoreError();
  test.UserCode();
}

Task<absl::Status> Root(EveryCheckpoint& test) {
  Witness local;
  Mutex mutex;
  net::TcpListener listener = net::TcpListener::Bind("127.0.0.1:0").value();
  ShutdownOnFailure scope;
  for (int i = 0; i < 3; ++i) scope.Fork(Second(test, mutex));
  scope.Fork(WaitsInForeignCode(test));
  scope.Fork(Echo(test, listener));
  scope.Fork(Ping(test, *listener.local_address()));
  (co_await scope.Join()).ThrowIfFailed();
  test.UserCode();
  co_return absl::OkStatus();
}

TEST_P(EveryCheckpointThrowTest, ACancelledTreeRunsNoCodeBeyondItsNextCheckpoint) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      const int count = EveryCheckpoint::Try({.io = io, .carriers = carriers, .seed = seed}, backend, &Root);
      EXPECT_GE(count, 60);
      RecordProperty("checkpoints", count);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, EveryCheckpointThrowTest, ::testing::Values("io_uring", "epoll"));

}  // namespace
}  // namespace weft::testing
