// Goal: cancelled at any checkpoint, a tree of virtual threads three levels deep, with every kind of wait there is,
// ends as promised, also if its threads are pinned. Method: see every_checkpoint.h. Errors are statuses here;
// every_checkpoint_throw_test.cc has the tree that throws.
#include "tests/cancel/every_checkpoint.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "weft/blocking.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/select.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/copy.h"
#include "weft/io/memory_stream.h"
#include "weft/io/stream.h"
#include "weft/sync/barrier.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/lazy.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/sync/rate_limiter.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/shared_mutex.h"
#include "weft/thread_builder.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

class EveryCheckpointTest : public ::testing::TestWithParam<const char*> {};

Task<int> Third(EveryCheckpoint& test, Event& go) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  test.UserCode();
  co_await go.Wait();
  test.UserCode();
  co_await Yield();
  test.UserCode();
  co_await Sleep(absl::Milliseconds(2));
  test.UserCode();
  co_await SleepUntil(Now() + absl::Milliseconds(1));
  test.UserCode();
  co_return 1;
}

Task<void> ReleaseSlowly(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  EveryCheckpoint::Shielded shielded(test);
  co_await Sleep(absl::Milliseconds(2));
  test.UserCode();
  co_await Yield();
  test.UserCode();
}

// The second level, locks and times.
Task<absl::Status> Locks(EveryCheckpoint& test, Mutex& mutex, Semaphore& semaphore) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Event go;
  test.UserCode();
  {
    MutexGuard guard = co_await mutex.Lock();
    test.UserCode();
    co_await Sleep(absl::Milliseconds(1));
    test.UserCode();
  }
  Permit permit = co_await semaphore.Acquire();
  test.UserCode();
  absl::Status called = co_await Blocking([kept = Witness()] { static_cast<void>(CancelRequested()); });
  test.UserCode();
  if (!called.ok()) co_return called;
  ShutdownOnFailure scope;
  auto third = scope.Fork(Third(test, go));
  scope.Fork([&test, &go, kept = Witness()]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(2));
    test.UserCode();
    go.Set();
  });
  test.UserCode();
  co_await Shield(ReleaseSlowly(test));
  // No UserCode() here: the shield is over, and its end is not a checkpoint, so a cancelled thread may still be
  // running.
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  if (!joined.ok()) co_return joined;
  co_return *third == 1 ? absl::OkStatus() : absl::InternalError("not one");
}

// The second level, boundaries and scopes that end early.
Task<absl::Status> Boundaries(EveryCheckpoint& test, Event& never) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  auto wait = [](EveryCheckpoint& inner, Event& event) -> Task<void> {
    Witness witness;
    co_await event.Wait();
    inner.UserCode();
  };
  test.UserCode();
  absl::Status late = co_await WithTimeout(absl::Milliseconds(2), wait(test, never));
  test.UserCode();
  if (ReasonOf(late).kind != CancelReason::Kind::kTimeout) co_return absl::InternalError("no timeout");
  absl::StatusOr<int> caught = co_await CatchCancelled(Third(test, never));
  // Cancelled and caught: the rest is for this thread to end, at its next checkpoint.
  if (caught.ok()) co_return absl::InternalError("the event was never set");
  co_await Yield();
  test.UserCode();
  co_return absl::OkStatus();
}

Task<absl::Status> EarlyExits(EveryCheckpoint& test, Event& never) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  auto sleep = [](EveryCheckpoint& inner, int ms) -> Task<int> {
    Witness witness;
    co_await Sleep(absl::Milliseconds(ms));
    inner.UserCode();
    co_return ms;
  };
  test.UserCode();
  auto [a, b] = co_await All(sleep(test, 1), sleep(test, 2));
  test.UserCode();
  const VirtualThread outside = VirtualThread::Start([self = VirtualThread::Current()]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(1));
    self.Unpark();
  });
  co_await VirtualThread::Park();
  test.UserCode();
  const absl::Status ended = co_await outside.Join();
  test.UserCode();
  if (!ended.ok()) co_return ended;
  {
    ShutdownOnSuccess<int> fastest;
    fastest.Fork(sleep(test, a));
    fastest.Fork(sleep(test, 1000 * b));
    int won = (co_await fastest.Join()).value();
    test.UserCode();
    if (won != 1) co_return absl::InternalError("the slower one won");
  }
  {
    ShutdownOnFailure failing;
    failing.Fork([&never]() -> Task<void> { co_await never.Wait(); });
    failing.Fork([&test, &sleep]() -> Task<absl::Status> {
      co_await sleep(test, 1);
      co_return absl::DataLossError("as planned");
    });
    absl::Status joined = co_await failing.Join();
    test.UserCode();
    if (joined.code() != absl::StatusCode::kDataLoss) co_return absl::InternalError("not as planned");
  }
  ShutdownOnFailure scope;
  scope.Fork(sleep(test, 1000));
  co_return co_await scope.Close(absl::OkStatus());
}

// The second level, sockets: accept, connect, reads and, with more bytes than the kernel buffers, writes that wait.
Task<absl::Status> Serve(EveryCheckpoint& test, net::TcpListener& listener, size_t bytes) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  test.UserCode();
  absl::StatusOr<net::TcpStream> stream = co_await listener.Accept();
  test.UserCode();
  if (!stream.ok()) co_return stream.status();
  std::vector<char> buffer(bytes);
  if (absl::Status read = co_await stream->ReadExactly(absl::MakeSpan(buffer)); !read.ok()) co_return read;
  test.UserCode();
  co_return co_await stream->Write("thanks");
}

Task<absl::Status> Visit(EveryCheckpoint& test, net::SocketAddress address, size_t bytes) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  test.UserCode();
  absl::StatusOr<net::TcpStream> stream = co_await net::TcpStream::Connect(address);
  test.UserCode();
  if (!stream.ok()) co_return stream.status();
  const std::string data(bytes / 4, 'x');
  for (int i = 0; i < 4; ++i) {
    if (absl::Status sent = co_await stream->Write(data); !sent.ok()) co_return sent;
    test.UserCode();
  }
  char thanks[6];
  absl::Status read = co_await stream->ReadExactly(absl::MakeSpan(thanks));
  test.UserCode();
  co_return read;
}

Task<absl::Status> Root(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Mutex mutex;
  Semaphore semaphore(1);
  Event never;
  net::TcpListener small = net::TcpListener::Bind("127.0.0.1:0").value();
  net::TcpListener large = net::TcpListener::Bind("127.0.0.1:0").value();

  ShutdownOnFailure scope;
  test.UserCode();
  for (int i = 0; i < 4; ++i) scope.Fork(Locks(test, mutex, semaphore));
  scope.Fork(EarlyExits(test, never));
  // One port each: the kernel does not say in which order it takes connections.
  scope.Fork(Serve(test, small, 4'000));
  scope.Fork(Visit(test, *small.local_address(), 4'000));
  scope.Fork(Serve(test, large, 8'000'000));
  scope.Fork(Visit(test, *large.local_address(), 8'000'000));
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  if (!joined.ok()) co_return joined;

  // CatchCancelled never ends by itself here, so it has a deadline of its own.
  absl::Status bounded = co_await WithTimeout(absl::Milliseconds(20), Boundaries(test, never));
  if (ReasonOf(bounded).kind != CancelReason::Kind::kTimeout)
    co_return absl::InternalError("Boundaries() ended by itself");
  co_return absl::OkStatus();
}

// Half of the runs are with pinned threads.
EveryCheckpoint::Options OptionsOf(IoBackend io, int carriers, uint64_t seed) {
  return {.io = io, .carriers = carriers, .seed = seed, .pinned = seed % 2 == 0};
}

TEST_P(EveryCheckpointTest, ACancelledTreeRunsNoCodeBeyondItsNextCheckpoint) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      const int count = EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &Root);
      EXPECT_GE(count, 60);
      RecordProperty("checkpoints", count);
    }
  }
}

// Waits that are given to what takes a Task: each becomes one.
Task<absl::Status> Adapted(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Mutex mutex;
  Semaphore semaphore(1);
  Event go, never;
  ShutdownOnFailure scope;
  scope.Fork(Sleep(absl::Milliseconds(3)));
  scope.Fork([&go]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(2));
    go.Set();
  });
  scope.Fork([&]() -> Task<absl::Status> {
    auto guard = co_await WithTimeout(absl::Hours(1), mutex.Lock());
    test.UserCode();
    co_await Sleep(absl::Milliseconds(1));
    test.UserCode();
    co_return guard.status();
  });
  co_await Yield();
  test.UserCode();
  auto guard = co_await WithTimeout(absl::Hours(1), mutex.Lock());
  test.UserCode();
  if (!guard.ok()) co_return guard.status();
  auto both = co_await All(go.Wait(), semaphore.Acquire());
  test.UserCode();
  if (co_await MoveOnAfter(absl::Milliseconds(1), semaphore.Acquire())) co_return absl::InternalError("one too many");
  test.UserCode();
  co_await Race(Sleep(absl::Milliseconds(1)), never.Wait());
  test.UserCode();
  absl::Status stopped = co_await WithStopEvent(go, never.Wait());
  test.UserCode();
  if (ReasonOf(stopped).kind != CancelReason::Kind::kEventSet) co_return absl::InternalError("not stopped");
  co_await Shield(Sleep(absl::Milliseconds(1)));
  guard->Unlock();
  absl::Status joined = co_await WithTimeout(absl::Hours(1), scope.Join());
  test.UserCode();
  co_return joined;
}

// Locks that are more than a mutex, and conditions of each.
template <class M>
Task<absl::Status> TakesTurns(EveryCheckpoint& test, M& mutex, ConditionVariable& changed, int& turn, int mine) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  for (int round = 0; round < 2; ++round) {
    auto guard = co_await mutex.Lock();
    test.UserCode();
    while (turn % 2 != mine) {
      co_await changed.Wait(guard);
      test.UserCode();
    }
    co_await Yield();
    test.UserCode();
    ++turn;
    changed.NotifyAll();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> MoreLocks(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Mutex mutex;
  RecursiveMutex recursive;
  SharedMutex shared;
  Semaphore semaphore(3);
  ConditionVariable of_mutex, of_recursive, of_shared, never;
  int turns[3] = {};
  ShutdownOnFailure scope;
  for (int mine = 0; mine < 2; ++mine) {
    scope.Fork(TakesTurns(test, mutex, of_mutex, turns[0], mine));
    scope.Fork(TakesTurns(test, recursive, of_recursive, turns[1], mine));
    scope.Fork(TakesTurns(test, shared, of_shared, turns[2], mine));
    scope.Fork([&]() -> Task<void> {
      const ReaderGuard reading = co_await shared.LockShared();
      test.UserCode();
      const Permit two = co_await semaphore.Acquire(2);
      test.UserCode();
      co_await Sleep(absl::Milliseconds(1));
      test.UserCode();
    });
    scope.Fork([&]() -> Task<void> {
      const RecursiveMutexGuard outer = co_await recursive.Lock();
      test.UserCode();
      const RecursiveMutexGuard inner = co_await recursive.Lock();
      test.UserCode();
      const Permit all = co_await semaphore.Acquire(3);
      test.UserCode();
    });
  }
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  if (!joined.ok()) co_return joined;
  WriterGuard writing = co_await shared.Lock();
  test.UserCode();
  if (co_await never.WaitFor(writing, absl::Milliseconds(1))) co_return absl::InternalError("nobody notifies");
  test.UserCode();
  const ReaderGuard reading = std::move(writing).Downgrade();
  if ((co_await shared.LockFor(absl::Milliseconds(1))).has_value()) co_return absl::InternalError("it is read");
  test.UserCode();
  const bool right = turns[0] == 4 && turns[1] == 4 && turns[2] == 4 && semaphore.available() == 3;
  co_return right ? absl::OkStatus() : absl::InternalError("turns were lost");
}

TEST_P(EveryCheckpointTest, LocksAndConditionsKeepThePromise) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &MoreLocks), 20);
    }
  }
}

// Futures and executors. What is submitted is not in the tree: its own code may run on until the executor ends it.
Task<absl::Status> Submitted(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Promise<int> promise;
  BoundedExecutor executor(2);
  ShutdownOnFailure scope;
  scope.Fork([&promise, kept = Witness()]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(1));
    promise.SetValue(1);
  });
  scope.Fork([&test, future = promise.future()]() -> Task<absl::Status> {
    test.UserCode();
    absl::StatusOr<int> one = co_await future.TryGet();
    test.UserCode();
    co_return one.status();
  });
  for (int i = 0; i < 4; ++i) {
    co_await executor.SubmitWhenFree([kept = Witness()]() -> Task<void> {
      Witness witness;
      co_await Sleep(absl::Milliseconds(1));
    });
    test.UserCode();
  }
  Future<int> two = promise.future().Then([kept = Witness()](int value) { return value + 1; });
  const int sum = co_await two.Combine(promise.future(), [](int a, int b) { return a + b; }).Get();
  test.UserCode();
  if (co_await executor.AwaitTermination(absl::Milliseconds(1))) co_return absl::InternalError("it was not shut down");
  test.UserCode();
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  co_await executor.Close();
  test.UserCode();
  if (!joined.ok()) co_return joined;
  co_return sum == 3 ? absl::OkStatus() : absl::InternalError("not three");
}

TEST_P(EveryCheckpointTest, WaitsForFuturesAndExecutorsKeepThePromise) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &Submitted), 15);
    }
  }
}

// Channels and selects. The values are witnesses: none is lost, wherever it was.
Task<absl::Status> Channelled(EveryCheckpoint& test) {
  Witness local;
  Channel<Witness> pipe(1), meeting(0);
  Channel<Witness> kept(kUnbounded);
  Event never;
  Mutex mutex;
  ShutdownOnFailure scope;
  scope.Fork([&]() -> Task<absl::Status> {
    for (int i = 0; i < 4; ++i) {
      if (!co_await pipe.Send(Witness())) co_return absl::InternalError("closed");
      test.UserCode();
      co_await kept.Send(Witness());
      test.UserCode();
    }
    pipe.Close();
    co_return absl::OkStatus();
  });
  scope.Fork([&]() -> Task<void> {
    while (std::optional<Witness> value = co_await pipe.Receive()) {
      test.UserCode();
      co_await Select(meeting.Send(*std::move(value)), never.Wait());
      test.UserCode();
    }
    co_await Sleep(absl::Milliseconds(1));
    test.UserCode();
    meeting.Close();
  });
  int met = 0;
  for (bool open = true; open;) {
    auto got = co_await Select(Sleep(absl::Hours(1)), meeting.Receive(), never.Wait(), meeting.Receive());
    test.UserCode();
    open = got.index() == 1 ? std::get<1>(got).has_value() : std::get<3>(got).has_value();
    met += open;
  }
  std::vector<Witness> all;
  if (co_await kept.ReceiveMany(all, 10) != 4) co_return absl::InternalError("not four");
  test.UserCode();
  auto locked = co_await Select(never.Wait(), mutex.Lock());
  test.UserCode();
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  if (!joined.ok()) co_return joined;
  co_return met == 4 && locked.index() == 1 ? absl::OkStatus() : absl::InternalError("not four");
}

// What threads meet at, and what one does for all.
struct Meeting {
  static constexpr int kThreads = 3;

  Latch begun{kThreads + 1};
  Barrier barrier{kThreads, [] {}};
  Phaser phaser{kThreads};
  Once once;
  Lazy<Witness> lazy{[]() -> Task<Witness> {
    co_await Yield();
    co_return Witness();
  }};
  RateLimiter limiter{{.permits_per_second = 1000}};
  DelayQueue<Witness> delayed;
  Exchanger<Witness> exchanger;
};

Task<absl::Status> Meets(EveryCheckpoint& test, Meeting& meeting) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  test.UserCode();
  co_await meeting.begun.ArriveAndWait();
  test.UserCode();
  for (int round = 0; round < 2; ++round) {
    const absl::StatusOr<int64_t> met = co_await meeting.barrier.ArriveAndWait();
    test.UserCode();
    if (!met.ok()) co_return met.status();
    co_await meeting.phaser.ArriveAndAwaitAdvance();
    test.UserCode();
  }
  const absl::Status ran = co_await meeting.once.Run([&test, kept = Witness()]() -> Task<absl::Status> {
    Witness inside;
    co_await Sleep(absl::Milliseconds(1));
    test.UserCode();
    co_return absl::OkStatus();
  });
  test.UserCode();
  if (!ran.ok()) co_return ran;
  co_await meeting.lazy.Get();
  test.UserCode();
  co_await meeting.limiter.Acquire();
  test.UserCode();
  const std::optional<Witness> delayed = co_await meeting.delayed.Receive();
  test.UserCode();
  co_return delayed.has_value() ? absl::OkStatus() : absl::InternalError("closed");
}

Task<absl::Status> Together(EveryCheckpoint& test) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  Meeting meeting;
  ShutdownOnFailure scope;
  for (int i = 0; i < Meeting::kThreads; ++i) scope.Fork(Meets(test, meeting));
  scope.Fork([&]() -> Task<void> {
    Witness mine;
    co_await meeting.exchanger.Exchange(std::move(mine));
    test.UserCode();
  });
  for (int i = 0; i < Meeting::kThreads; ++i) meeting.delayed.Send(Witness(), absl::Milliseconds(4 + i / 2));
  co_await Yield();
  test.UserCode();
  meeting.begun.CountDown();
  co_await meeting.begun.Wait();
  test.UserCode();
  co_await meeting.phaser.AwaitAdvance(0);
  test.UserCode();
  Witness mine;
  co_await meeting.exchanger.Exchange(std::move(mine));
  test.UserCode();
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  co_return joined;
}

TEST_P(EveryCheckpointTest, WaitsForEachOtherKeepThePromise) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &Together), 30);
    }
  }
}

TEST_P(EveryCheckpointTest, ChannelsAndSelectsKeepThePromise) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try({.io = io, .carriers = carriers, .seed = seed}, backend, &Channelled), 20);
    }
  }
}

TEST_P(EveryCheckpointTest, WhatBecomesATaskKeepsThePromiseOfItsWait) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &Adapted), 15);
    }
  }
}

// Streams: an end that asks, a proxy, and an end that answers.
Task<absl::Status> Asks(EveryCheckpoint& test, io::MemoryStream& stream) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  io::BufferedReader in(stream);
  io::BufferedWriter out(stream, {.buffer_size = 4});
  for (int i = 0; i < 3; ++i) {
    absl::Status sent = co_await out.Write("a question\n");
    test.UserCode();
    if (sent.ok()) sent = co_await out.Flush();
    test.UserCode();
    if (!sent.ok()) co_return sent;
    const absl::StatusOr<std::string_view> answer = co_await in.ReadLine();
    test.UserCode();
    if (!answer.ok()) co_return answer.status();
  }
  co_return stream.ShutdownWrite();
}

Task<absl::Status> Answers(EveryCheckpoint& test, io::MemoryStream stream) {
  const EveryCheckpoint::Pinned pinned(test);
  Witness local;
  io::BufferedReader in(stream, {.buffer_size = 3});
  while (true) {
    const absl::StatusOr<std::string_view> line = co_await in.ReadUntil('\n');
    test.UserCode();
    if (io::IsEndOfStream(line.status())) co_return absl::OkStatus();
    if (!line.ok()) co_return line.status();
    absl::Status sent = co_await stream.Write(*line);
    test.UserCode();
    if (!sent.ok()) co_return sent;
  }
}

Task<absl::Status> Streamed(EveryCheckpoint& test) {
  Witness local;
  auto [client, front] = io::MemoryStream::Pair({.capacity = 5});
  auto [back, server] = io::MemoryStream::Pair({.capacity = 0});
  ShutdownOnFailure scope;
  scope.Fork(Asks(test, client));
  scope.Fork(io::CopyBothWays(front, back, {.buffer_size = 4}));
  scope.Fork(Answers(test, std::move(server)));
  absl::Status joined = co_await scope.Join();
  test.UserCode();
  co_return joined;
}

TEST_P(EveryCheckpointTest, StreamsKeepThePromise) {
  const std::string backend = GetParam();
  const IoBackend io = backend == "epoll" ? IoBackend::kEpoll : IoBackend::kUring;
  for (int carriers = 1; carriers <= 3; ++carriers) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      EXPECT_GE(EveryCheckpoint::Try(OptionsOf(io, carriers, seed), backend, &Streamed), 30);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, EveryCheckpointTest, ::testing::Values("io_uring", "epoll"));

}  // namespace
}  // namespace weft::testing
