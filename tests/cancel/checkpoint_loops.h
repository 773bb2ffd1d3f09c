// Every checkpoint, and every boundary with a wait inside, in a loop in which it is over at once: what it waits for is
// there, there is nothing to wait for, or its boundary ends it. A thread that runs such a loop never parks.
//
// What holds for one holds for all: the loop lets others run, and it ends when its thread is cancelled. A new wait, or
// a new boundary, is a row here.
#ifndef WEFT_TESTS_CANCEL_CHECKPOINT_LOOPS_H_
#define WEFT_TESTS_CANCEL_CHECKPOINT_LOOPS_H_

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/support/foreign_task.h"
#include "tests/support/lines.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/cancellation.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/generator.h"
#include "weft/channel/select.h"
#include "weft/finally.h"
#include "weft/for_each.h"
#include "weft/foreign.h"
#include "weft/fs/file.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/copy.h"
#include "weft/io/memory_stream.h"
#include "weft/io/pipe.h"
#include "weft/io/readiness.h"
#include "weft/net/connect.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/net/unix_stream.h"
#include "weft/race.h"
#include "weft/ready.h"
#include "weft/scope.h"
#include "weft/stop_event.h"
#include "weft/stop_token.h"
#include "weft/sync/barrier.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/event.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/lazy.h"
#include "weft/sync/mutex.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/sync/rate_limiter.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/ticker.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

// Counts the rounds of one loop or several, and says when they are to end.
class Rounds {
 public:
  explicit Rounds(int64_t limit) noexcept : limit_(limit) {}

  // Before each round.
  bool Next() noexcept {
    if (stopped_.load(std::memory_order_relaxed)) return false;
    return count_.fetch_add(1, std::memory_order_relaxed) < limit_;
  }
  void Stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }
  int64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  const int64_t limit_;
  std::atomic<int64_t> count_{0};
  std::atomic<bool> stopped_{false};
};

struct CheckpointLoop {
  const char* name;
  Task<void> (*run)(Rounds& rounds);
  bool needs_io = false;
  // It does not end when its thread is cancelled: its checkpoints are shielded, or are a foreign coroutine's, which
  // cannot be told without exceptions.
  bool hides_requests = false;

  friend std::ostream& operator<<(std::ostream& out, const CheckpointLoop& loop) { return out << loop.name; }
};

inline Task<int> One() { co_return 1; }
inline Task<void> Nothing() { co_return; }
inline Task<absl::StatusOr<int>> OneOrStatus() { co_return 1; }
inline Task<void> Await(Event& event) { co_await event.Wait(); }
inline Task<void> Await(Semaphore& semaphore) { auto permit = co_await semaphore.Acquire(); }
inline Task<void> Await(Mutex& mutex) { auto guard = co_await mutex.Lock(); }
inline Task<void> Await(RecursiveMutex& mutex) { auto guard = co_await mutex.Lock(); }
inline Task<void> AwaitToWrite(SharedMutex& mutex) { auto guard = co_await mutex.Lock(); }
inline Task<void> AwaitToRead(SharedMutex& mutex) { auto guard = co_await mutex.LockShared(); }
inline Task<void> AwaitTime(absl::Duration duration) { co_await Sleep(duration); }
inline Generator<int> Ones() {
  for (;;) co_yield 1;
}
inline std::vector<Task<int>> NoTasks() { return {}; }
inline other::task<void> ForeignNothing() { co_return; }
inline net::SocketAddress AddressOf(const char* text) { return net::SocketAddress::Parse(text).value(); }
inline constexpr int kNotOpen[] = {-1};

// A connection of a thread with itself.
class Loopback {
 public:
  static Task<Loopback> Open() {
    net::TcpListener listener = net::TcpListener::Bind("127.0.0.1:0").value();
    net::TcpStream near = (co_await net::TcpStream::Connect(*listener.local_address())).value();
    net::TcpStream far = (co_await listener.Accept()).value();
    co_return Loopback(std::move(listener), std::move(near), std::move(far));
  }
  Task<void> Read() {
    char byte;
    (co_await far.Read(absl::MakeSpan(&byte, 1))).IgnoreError();
  }
  Task<void> Write() { (co_await near.Write("x")).IgnoreError(); }
  Task<void> ReadNothing() { (co_await far.Read({})).IgnoreError(); }
  Task<void> WriteNothing() { (co_await near.Write({})).IgnoreError(); }
  Task<void> Accept() { (co_await listener.Accept()).IgnoreError(); }
  Task<void> Connect() { (co_await net::TcpStream::Connect(*listener.local_address())).IgnoreError(); }

 private:
  Loopback(net::TcpListener from, net::TcpStream one_end, net::TcpStream other_end)
      : listener(std::move(from)), near(std::move(one_end)), far(std::move(other_end)) {}

  net::TcpListener listener;
  net::TcpStream near, far;
};

template <class Line>
Task<void> SendAndReceive(Rounds& rounds) {
  typename Line::Source source;
  Line line = co_await Line::Open(source);
  while (rounds.Next()) {
    line.Send();
    co_await line.Receive();
  }
}

// ---- What is waited for is there, or there is nothing to wait for.
inline constexpr CheckpointLoop kReadyLoops[] = {
    {"Yield",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Yield();
     }},
    {"SleepForZero",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Sleep(absl::ZeroDuration());
     }},
    {"SleepForLessThanZero",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Sleep(-absl::InfiniteDuration());
     }},
    {"SleepUntilATimeThatHasPassed",
     [](Rounds& rounds) -> Task<void> {
       const Deadline past[] = {MonotonicTime(), Now() - absl::Seconds(1)};
       for (int i = 0; rounds.Next(); ++i) co_await SleepUntil(past[i % 2]);
     }},
    {"TickThatWasMissed",
     [](Rounds& rounds) -> Task<void> {
       Ticker ticker(absl::Nanoseconds(1), {.missed = Ticker::Missed::kBurst, .initial_delay = absl::ZeroDuration()});
       while (rounds.Next()) co_await ticker.Next();
     }},
    {"SetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) co_await event.Wait();
     }},
    {"LatchAtZero",
     [](Rounds& rounds) -> Task<void> {
       Latch latch(0);
       while (rounds.Next()) {
         co_await latch.Wait();
         co_await latch.ArriveAndWait();
       }
     }},
    {"BarrierOfOneParty",
     [](Rounds& rounds) -> Task<void> {
       Barrier barrier(1, [] {});
       while (rounds.Next()) (co_await barrier.ArriveAndWait()).IgnoreError();
     }},
    {"BrokenBarrier",
     [](Rounds& rounds) -> Task<void> {
       Barrier barrier(1, [] { return absl::DataLossError("as planned"); });
       while (rounds.Next()) (co_await barrier.ArriveAndWait()).IgnoreError();
     }},
    {"PhaserOfOneParty",
     [](Rounds& rounds) -> Task<void> {
       Phaser phaser(1);
       while (rounds.Next()) {
         co_await phaser.ArriveAndAwaitAdvance();
         co_await phaser.AwaitAdvance(-1);
       }
     }},
    {"OnceThatIsDone",
     [](Rounds& rounds) -> Task<void> {
       Once once;
       while (rounds.Next()) co_await once.Run([] {});
     }},
    {"OnceThatFails",
     [](Rounds& rounds) -> Task<void> {
       Once once;
       while (rounds.Next()) (co_await once.Run([] { return absl::DataLossError("as planned"); })).IgnoreError();
     }},
    {"LazyThatIsThere",
     [](Rounds& rounds) -> Task<void> {
       Lazy<int> lazy([] { return 1; });
       while (rounds.Next()) co_await lazy.Get();
     }},
    {"RateLimiterWithPermits",
     [](Rounds& rounds) -> Task<void> {
       RateLimiter limiter({.permits_per_second = 1e9, .burst = int64_t{1} << 40});
       while (rounds.Next()) co_await limiter.Acquire();
     }},
    {"ReceiveOfAValueThatIsDue",
     [](Rounds& rounds) -> Task<void> {
       DelayQueue<int> queue;
       while (rounds.Next()) {
         queue.Send(1, absl::ZeroDuration());
         co_await queue.Receive();
       }
     }},
    {"ReceiveFromAClosedDelayQueue",
     [](Rounds& rounds) -> Task<void> {
       DelayQueue<int> queue;
       queue.Close();
       while (rounds.Next()) co_await queue.Receive();
     }},
    {"FreeSemaphore",
     [](Rounds& rounds) -> Task<void> {
       Semaphore semaphore(1);
       while (rounds.Next()) co_await Await(semaphore);
     }},
    {"FreeMutex",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       while (rounds.Next()) co_await Await(mutex);
     }},
    {"FreeRecursiveMutex",
     [](Rounds& rounds) -> Task<void> {
       RecursiveMutex mutex;
       while (rounds.Next()) co_await Await(mutex);
     }},
    {"RecursiveMutexOfTheHolder",
     [](Rounds& rounds) -> Task<void> {
       RecursiveMutex mutex;
       const RecursiveMutexGuard held = co_await mutex.Lock();
       while (rounds.Next()) co_await Await(mutex);
     }},
    {"FreeSharedMutex",
     [](Rounds& rounds) -> Task<void> {
       SharedMutex mutex;
       while (rounds.Next()) {
         co_await AwaitToWrite(mutex);
         co_await AwaitToRead(mutex);
       }
     }},
    {"SeveralPermits",
     [](Rounds& rounds) -> Task<void> {
       Semaphore semaphore(3);
       while (rounds.Next()) (co_await semaphore.Acquire(3)).Release();
     }},
    {"ConditionThatHolds",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       ConditionVariable condition;
       MutexGuard guard = co_await mutex.Lock();
       while (rounds.Next()) co_await condition.Wait(guard, [] { return true; });
     }},
    {"TimedConditionThatHolds",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       ConditionVariable condition;
       MutexGuard guard = co_await mutex.Lock();
       while (rounds.Next()) co_await condition.WaitFor(guard, absl::Hours(1), [] { return true; });
     }},
    {"SendAndReceiveOfAValue",
     [](Rounds& rounds) -> Task<void> {
       Channel<int> channel(1);
       while (rounds.Next()) {
         co_await channel.Send(1);
         co_await channel.Receive();
       }
     }},
    {"SendIntoAndReceiveManyFromAClosedChannel",
     [](Rounds& rounds) -> Task<void> {
       Channel<int> channel(0);
       channel.Close();
       std::vector<int> none;
       while (rounds.Next()) {
         co_await channel.Send(1);
         co_await channel.ReceiveMany(none, 1);
       }
     }},
    {"WriteToAndReadFromAMemoryStream",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       while (rounds.Next()) {
         char byte;
         (co_await near.Write("x")).IgnoreError();
         (co_await far.Read(absl::MakeSpan(&byte, 1))).IgnoreError();
       }
     }},
    {"ReadExactlyNothingOfAMemoryStream",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       while (rounds.Next()) (co_await far.ReadExactly({})).IgnoreError();
     }},
    {"WaitHangUpOfAMemoryStreamThatHasHungUp",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       near.Close();
       while (rounds.Next()) (co_await far.WaitHangUp()).IgnoreError();
     }},
    {"PeekIntoABuffer",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       (co_await near.Write("x")).IgnoreError();
       io::BufferedReader in(far);
       while (rounds.Next()) (co_await in.Peek(1)).IgnoreError();
     }},
    {"ReadIntoABufferForWhichThereIsNoMemory",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       io::BufferedReader in(far, {.buffer_size = SIZE_MAX});
       while (rounds.Next()) (co_await in.ReadLine()).IgnoreError();
     }},
    {"WriteIntoABufferWithRoomAndFlushOfNone",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       io::BufferedWriter out(near);
       while (rounds.Next()) {
         (co_await out.Flush()).IgnoreError();
         (co_await out.Write("")).IgnoreError();
       }
     }},
    {"CopyOfNothing",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = io::MemoryStream::Pair();
       while (rounds.Next()) (co_await io::Copy(near, far, {.max_bytes = 0})).IgnoreError();
     }},
    {"NextOfAGenerator",
     [](Rounds& rounds) -> Task<void> {
       auto ones = Ones();
       while (rounds.Next()) co_await ones.Next();
     }},
    {"NextOfAGeneratorThatHasEnded",
     [](Rounds& rounds) -> Task<void> {
       auto none = []() -> Generator<int> { co_return; }();
       while (rounds.Next()) co_await none.Next();
     }},
    {"SetAndNextOfAWatch",
     [](Rounds& rounds) -> Task<void> {
       Watch<int> watch(0);
       auto reader = watch.NewReader();
       while (rounds.Next()) {
         co_await reader.Next();
         watch.Set(1);
       }
     }},
    {"SelectOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event set, never;
       set.Set();
       while (rounds.Next()) co_await Select(never.Wait(), set.Wait());
     }},
    {"GetOfAFutureThatIsDone",
     [](Rounds& rounds) -> Task<void> {
       Promise<int> promise;
       promise.SetValue(1);
       const Future<int> future = promise.future();
       while (rounds.Next()) co_await future.Get();
     }},
    {"CloseOfAnExecutorThatHasTerminated",
     [](Rounds& rounds) -> Task<void> {
       VirtualThreadPerTaskExecutor executor;
       while (rounds.Next()) co_await executor.Close();
     }},
    {"AwaitTerminationThatHasCome",
     [](Rounds& rounds) -> Task<void> {
       VirtualThreadPerTaskExecutor executor;
       executor.Shutdown();
       while (rounds.Next()) co_await executor.AwaitTermination();
     }},
    {"InvokeAllOfNothing",
     [](Rounds& rounds) -> Task<void> {
       VirtualThreadPerTaskExecutor executor;
       while (rounds.Next()) co_await executor.InvokeAll(std::vector<Task<void>>());
     }},
    {"InvokeAnyOfNothing",
     [](Rounds& rounds) -> Task<void> {
       VirtualThreadPerTaskExecutor executor;
       while (rounds.Next()) (co_await executor.TryInvokeAny(std::vector<Task<void>>())).IgnoreError();
     }},
    {"SubmitToAPlaceThatIsFree",
     [](Rounds& rounds) -> Task<void> {
       BoundedExecutor executor(1);
       while (rounds.Next()) {
         const Future<void> done = co_await executor.SubmitWhenFree([] {});
         co_await done.Get();
       }
     }},
    {"BlockingCallOfNothing",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await Blocking([] {})).IgnoreError();
     }},
    {"ParkWithAPermit",
     [](Rounds& rounds) -> Task<void> {
       const VirtualThread self = VirtualThread::Current();
       while (rounds.Next()) {
         self.Unpark();
         co_await VirtualThread::Park();
       }
     }},
    {"JoinOfAnEndedThread",
     [](Rounds& rounds) -> Task<void> {
       const VirtualThread ended = VirtualThread::Start(One());
       (co_await ended.Join()).IgnoreError();
       while (rounds.Next()) (co_await ended.Join()).IgnoreError();
     }},
    {"JoinOfNothing",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) (co_await scope.Join()).IgnoreFailures();
     }},
    {"JoinOfAReadyChild",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) {
         scope.Fork(One());
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"JoinOfAReadyClosure",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) {
         scope.Fork([] { return One(); });
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"JoinOfAReadyDaemon",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) {
         scope.ForkDaemon(One());
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"JoinOfAScopeThatIsShut",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       scope.Shutdown();
       while (rounds.Next()) {
         scope.Fork(One());
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"JoinOfAScopeWithoutTime",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         AwaitAll scope({.timeout = absl::ZeroDuration()});
         scope.Fork(One());
         (co_await scope.Join()).IgnoreFailures();
       }
     }},
    {"JoinForOfNothing",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) static_cast<void>(co_await scope.JoinFor(absl::ZeroDuration()));
     }},
    {"CloseOfNothing",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         AwaitAll scope;
         co_await scope.Close();
       }
     }},
    {"CloseOfAReadyChild",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         AwaitAll scope;
         scope.Fork(One());
         co_await scope.Close();
       }
     }},
    {"NextCompletedWithNoneLeft",
     [](Rounds& rounds) -> Task<void> {
       AsCompleted<int> scope;
       while (rounds.Next()) static_cast<void>(co_await scope.NextCompleted());
     }},
    {"NextCompletedOfAReadyChild",
     [](Rounds& rounds) -> Task<void> {
       AsCompleted<int> scope;
       while (rounds.Next()) {
         scope.Fork(One());
         static_cast<void>(co_await scope.NextCompleted());
       }
       co_await scope.Close();
     }},
    {"StartOfAReadyService",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       while (rounds.Next()) {
         static_cast<void>(co_await scope.Start([](Ready ready) -> Task<void> {
           ready.Set();
           co_return;
         }));
       }
       co_await scope.Close();
     }},
    {"AllOfNone",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All();
     }},
    {"AllOfNoneAsATask",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Shield(absl::ZeroDuration(), All());
     }},
    {"AllOfAnEmptyRange",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(NoTasks());
     }},
    {"AllOfOneReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(One());
     }},
    {"AllOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(One(), One());
     }},
    {"AllOfARangeOfReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         std::vector<Task<int>> tasks;
         tasks.push_back(One());
         co_await All(std::move(tasks));
       }
     }},
    {"AllOfAnArrayOfNone",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(std::array<Task<int>, 0>());
     }},
    {"AllOfAnArrayOfReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(std::array{One(), One()});
     }},
    {"AllOfNoneIntoASpan",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await All(NoTasks(), std::span<int>());
     }},
    {"AllIntoASpanOfReady",
     [](Rounds& rounds) -> Task<void> {
       std::array<int, 1> results;
       while (rounds.Next()) co_await All(std::array{One()}, std::span(results));
     }},
    {"RaceOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Race(One(), One());
     }},
    {"RaceOfNone",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await Race(std::vector<Task<absl::StatusOr<int>>>())).IgnoreError();
     }},
    {"AnyOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Any(One(), One());
     }},
    {"AnyOfNone",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await Any(std::vector<Task<absl::StatusOr<int>>>())).IgnoreError();
     }},
    {"ForEachOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await ForEach(std::array{1, 2}, 2, [](int) { return Nothing(); });
     }},
    {"ForEachOfNothing",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await ForEach(std::vector<int>(), 2, [](int) { return Nothing(); });
     }},
    {"MapOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Map(std::array{1, 2}, 2, [](int) { return One(); });
     }},
    {"MapSettledOfTwoReady",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MapSettled(std::array{1, 2}, 2, [](int) { return One(); });
     }},
    {"MapOfNothing",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Map(std::vector<int>(), 2, [](int) { return One(); });
     }},
    {"CatchCancelledOfAReadyTask",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await CatchCancelled(One())).IgnoreError();
     }},
    {"WithTimeoutOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) (co_await WithTimeout(absl::Hours(1), Await(event))).IgnoreError();
     }},
    {"TimedWaitForASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) (co_await WithTimeout(absl::Hours(1), event.Wait())).IgnoreError();
     }},
    {"WithStopEventOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event, never;
       event.Set();
       while (rounds.Next()) (co_await WithStopEvent(never, event.Wait())).IgnoreError();
     }},
    {"WithStopTokenOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       std::stop_source source;
       while (rounds.Next()) (co_await WithStopToken(source.get_token(), Await(event))).IgnoreError();
     }},
    {"FinallyOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) co_await Finally(Await(event), [] { return Nothing(); });
     }},
    {"ShieldOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) co_await Shield(Await(event));
     },
     /*needs_io=*/false, /*hides_requests=*/true},
    {"ShieldOfAReadyChild",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Shield(All(One(), One()));
     },
     /*needs_io=*/false, /*hides_requests=*/true},
    {"ForeignOfAReadyTask",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await Foreign(ForeignNothing());
     }},
    {"AsForeignOfASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       const auto wait = [](Event& set) -> other::task<void> { co_await AsForeign(set.Wait()); };
       while (rounds.Next()) co_await Foreign(wait(event));
     },
     /*needs_io=*/false, /*hides_requests=*/!WEFT_EXCEPTIONS},
    {"WriteAndReadOfAByte",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) {
         co_await loopback.Write();
         co_await loopback.Read();
       }
     },
     /*needs_io=*/true},
    {"ReceiveOnAUnixStream", &SendAndReceive<UnixLine>, /*needs_io=*/true},
    {"ReceiveOfAUnixDatagram", &SendAndReceive<UnixDatagramLine>, /*needs_io=*/true},
    {"ReceiveOfADatagram", &SendAndReceive<UdpLine>, /*needs_io=*/true},
    {"ReadOfAPipe", &SendAndReceive<PipeLine>, /*needs_io=*/true},
    {"WaitForAForeignDescriptor", &SendAndReceive<ForeignLine>, /*needs_io=*/true},
    {"SendOfADatagram",
     [](Rounds& rounds) -> Task<void> {
       const net::UdpSocket receiver = net::UdpSocket::Bind("127.0.0.1:0").value();
       net::UdpSocket sender = net::UdpSocket::Connect(*receiver.local_address()).value();
       while (rounds.Next()) (co_await sender.Send("x")).IgnoreError();
     },
     /*needs_io=*/true},
    {"ConnectToWhatIsNoAddress",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await net::TcpStream::Connect("nowhere")).IgnoreError();
     }},
    {"ConnectToWhatIsNoName",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await net::UnixStream::Connect("")).IgnoreError();
     }},
    {"ConnectToWhatIsNoHostAndPort",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await net::Connect("nowhere")).IgnoreError();
     }},
    {"ConnectThatFindsNoSocket",
     [](Rounds& rounds) -> Task<void> {
       const net::SocketAddress no_tcp = AddressOf("unix:@x");
       while (rounds.Next()) (co_await net::TcpStream::Connect(no_tcp)).IgnoreError();
     }},
    {"ConnectThatCannotBind",
     [](Rounds& rounds) -> Task<void> {
       const net::SocketAddress from = AddressOf("[::1]:0"), to = AddressOf("127.0.0.1:1");
       while (rounds.Next()) (co_await net::TcpStream::Connect(to, from)).IgnoreError();
     }},
    {"ConnectOfAUnixStreamThatFindsNoSocket",
     [](Rounds& rounds) -> Task<void> {
       const net::SocketAddress no_unix = AddressOf("127.0.0.1:1");
       while (rounds.Next()) (co_await net::UnixStream::Connect(no_unix)).IgnoreError();
     }},
    {"SendOfDescriptorsWithoutAByte",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = net::UnixStream::Pair().value();
       while (rounds.Next()) (co_await near.Send({}, kNotOpen)).IgnoreError();
     }},
    {"SendOfWhatCannotTravelOnAUnixStream",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = net::UnixStream::Pair().value();
       while (rounds.Next()) (co_await near.Send("x", kNotOpen)).IgnoreError();
     }},
    {"SendOfWhatCannotTravelInAUnixDatagram",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = net::UnixDatagram::Pair().value();
       while (rounds.Next()) (co_await near.Send("x", kNotOpen)).IgnoreError();
     }},
    {"SendOfAUnixDatagramToWhatIsNoName",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = net::UnixDatagram::Pair().value();
       const net::SocketAddress no_unix = AddressOf("127.0.0.1:1");
       while (rounds.Next()) (co_await near.SendTo("x", no_unix)).IgnoreError();
     }},
    {"SendOfWhatCannotTravelToAName",
     [](Rounds& rounds) -> Task<void> {
       auto [near, far] = net::UnixDatagram::Pair().value();
       const net::SocketAddress nobody = AddressOf("unix:@x");
       while (rounds.Next()) (co_await near.SendTo("x", nobody, kNotOpen)).IgnoreError();
     }},
    {"WaitUntilWritable",
     [](Rounds& rounds) -> Task<void> {
       const io::PipeEnds pipe = io::MakePipe().value();
       while (rounds.Next()) (co_await io::WaitWritable(pipe.writer.native_handle())).IgnoreError();
     },
     /*needs_io=*/true},
    {"ReadOfACachedFile",
     [](Rounds& rounds) -> Task<void> {
       fs::File file = (co_await fs::File::Open("/proc/self/exe")).value();
       char byte;
       while (rounds.Next()) (co_await file.ReadAt(absl::MakeSpan(&byte, 1), 0)).IgnoreError();
     }},
    {"ReadOfNothingOfAFile",
     [](Rounds& rounds) -> Task<void> {
       fs::File file = (co_await fs::File::Open("/proc/self/exe")).value();
       while (rounds.Next()) (co_await file.ReadAt({}, 0)).IgnoreError();
     }},
    {"ReadOfNothing",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await loopback.ReadNothing();
     },
     /*needs_io=*/true},
    {"WriteOfNothing",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await loopback.WriteNothing();
     },
     /*needs_io=*/true},
};

// ---- Nothing is there, and a boundary ends the wait.
inline constexpr CheckpointLoop kEndedLoops[] = {
    {"MoveOnFromAnEvent",
     [](Rounds& rounds) -> Task<void> {
       Event never;
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Await(never));
     }},
    {"MoveOnFromALatch",
     [](Rounds& rounds) -> Task<void> {
       Latch latch(2);
       while (rounds.Next()) {
         co_await MoveOnAfter(absl::ZeroDuration(), latch.Wait());
         co_await MoveOnAfter(absl::ZeroDuration(), latch.ArriveAndWait());
       }
     }},
    {"MoveOnFromABarrier",
     [](Rounds& rounds) -> Task<void> {
       Barrier barrier(2);
       while (rounds.Next()) {
         static_cast<void>(co_await MoveOnAfter(absl::ZeroDuration(), barrier.ArriveAndWait()));
         barrier.Reset();
       }
     }},
    {"MoveOnFromAPhaser",
     [](Rounds& rounds) -> Task<void> {
       Phaser phaser(2);
       while (rounds.Next()) {
         co_await MoveOnAfter(absl::ZeroDuration(), phaser.ArriveAndAwaitAdvance());
         co_await MoveOnAfter(absl::ZeroDuration(), phaser.AwaitAdvance(0));
       }
     }},
    {"MoveOnFromAnExchange",
     [](Rounds& rounds) -> Task<void> {
       Exchanger<int> exchanger;
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), exchanger.Exchange(1));
     }},
    {"MoveOnFromAOnce",
     [](Rounds& rounds) -> Task<void> {
       Once once;
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), once.Run([] { return Forever(); }));
     }},
    {"MoveOnFromALazy",
     [](Rounds& rounds) -> Task<void> {
       Lazy<int> lazy([]() -> Task<int> {
         co_await Forever();
         co_return 1;
       });
       const auto get = [](Lazy<int>& from) -> Task<void> { co_await from.Get(); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), get(lazy));
     }},
    {"MoveOnFromARateLimiter",
     [](Rounds& rounds) -> Task<void> {
       RateLimiter limiter({.permits_per_second = 1e-6});
       static_cast<void>(limiter.TryAcquire());
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), limiter.Acquire());
     }},
    {"MoveOnFromADelayQueue",
     [](Rounds& rounds) -> Task<void> {
       DelayQueue<int> queue;
       while (rounds.Next()) {
         co_await MoveOnAfter(absl::ZeroDuration(), queue.Receive());
         if (queue.size() == 0) queue.Send(1, absl::Hours(1));
       }
     }},
    {"MoveOnFromASemaphore",
     [](Rounds& rounds) -> Task<void> {
       Semaphore none(0);
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Await(none));
     }},
    {"MoveOnFromASend",
     [](Rounds& rounds) -> Task<void> {
       Channel<int> channel(0);
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), channel.Send(1));
     }},
    {"MoveOnFromAReceive",
     [](Rounds& rounds) -> Task<void> {
       Channel<int> channel(0);
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), channel.Receive());
     }},
    {"MoveOnFromABroadcast",
     [](Rounds& rounds) -> Task<void> {
       Broadcast<int> broadcast(1);
       auto subscriber = broadcast.Subscribe();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), subscriber.Receive());
     }},
    {"MoveOnFromASelect",
     [](Rounds& rounds) -> Task<void> {
       Channel<int> channel(0);
       Event never;
       while (rounds.Next()) {
         co_await MoveOnAfter(absl::ZeroDuration(),
                              Select(channel.Receive(), never.Wait(), channel.Send(1), Sleep(absl::Hours(1))));
       }
     }},
    {"MoveOnFromAMutex",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       const std::optional<MutexGuard> held = mutex.TryLock();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Await(mutex));
     }},
    {"TimedLockOfAMutex",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       const std::optional<MutexGuard> held = mutex.TryLock();
       while (rounds.Next()) co_await mutex.LockFor(absl::ZeroDuration());
     }},
    {"MoveOnFromAWriter",
     [](Rounds& rounds) -> Task<void> {
       SharedMutex mutex;
       const std::optional<ReaderGuard> held = mutex.TryLockShared();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), AwaitToWrite(mutex));
     }},
    {"MoveOnFromAReader",
     [](Rounds& rounds) -> Task<void> {
       SharedMutex mutex;
       const std::optional<WriterGuard> held = mutex.TryLock();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), AwaitToRead(mutex));
     }},
    {"TimedWaitForACondition",
     [](Rounds& rounds) -> Task<void> {
       Mutex mutex;
       ConditionVariable never;
       MutexGuard guard = co_await mutex.Lock();
       while (rounds.Next()) co_await never.WaitFor(guard, absl::ZeroDuration());
     }},
    {"MoveOnFromASleep",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), AwaitTime(absl::Hours(1)));
     }},
    {"MoveOnFromASleepUntil",
     [](Rounds& rounds) -> Task<void> {
       const absl::Time later = Now() + absl::Hours(1);
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), SleepUntil(later));
     }},
    {"MoveOnFromATick",
     [](Rounds& rounds) -> Task<void> {
       Ticker ticker(absl::Hours(1));
       const auto next = [](Ticker& of) -> Task<void> { co_await of.Next(); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), next(ticker));
     }},
    {"MoveOnFromAnAll",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), All(Forever(), Forever()));
     }},
    {"MoveOnFromARace",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Race(Forever(), Forever()));
     }},
    {"MoveOnFromAMap",
     [](Rounds& rounds) -> Task<void> {
       const auto wait = [](int) -> Task<void> { return Forever(); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), ForEach(std::array{1, 2}, 2, wait));
     }},
    {"MoveOnFromAScopeOfItsOwn",
     [](Rounds& rounds) -> Task<void> {
       const auto wait = []() -> Task<void> {
         AwaitAll scope;
         scope.Fork(Forever());
         (co_await scope.Join()).IgnoreFailures();
       };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), wait());
     }},
    {"MoveOnFromASetEvent",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       event.Set();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Await(event));
     }},
    {"MoveOnFromACatch",
     [](Rounds& rounds) -> Task<void> {
       const auto wait = []() -> Task<void> { (co_await CatchCancelled(One())).IgnoreError(); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), wait());
     }},
    {"MoveOnFromAFinally",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         co_await MoveOnAfter(absl::ZeroDuration(), Finally(Forever(), [] { return Nothing(); }));
       }
     }},
    {"MoveOnFromAShieldWithoutGrace",
     [](Rounds& rounds) -> Task<void> {
       const auto wait = []() -> Task<void> { co_await Shield(absl::ZeroDuration(), Forever()); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), wait());
     }},
    {"MoveOnFromAWithTimeout",
     [](Rounds& rounds) -> Task<void> {
       const auto wait = []() -> Task<absl::Status> { co_return co_await WithTimeout(absl::Hours(1), Forever()); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), wait());
     }},
    {"MoveOnFromForeignWork",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Foreign(ForeignNothing()));
     }},
    {"MoveOnFromAGet",
     [](Rounds& rounds) -> Task<void> {
       Promise<int> promise;
       const Future<int> future = promise.future();
       while (rounds.Next()) co_await future.GetFor(absl::ZeroDuration());
     }},
    {"MoveOnFromAnAwaitTermination",
     [](Rounds& rounds) -> Task<void> {
       VirtualThreadPerTaskExecutor executor;
       while (rounds.Next()) co_await executor.AwaitTermination(absl::ZeroDuration());
     }},
    {"MoveOnFromASubmitWhenFree",
     [](Rounds& rounds) -> Task<void> {
       BoundedExecutor executor(1);
       executor.Submit(Forever());
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), executor.SubmitWhenFree([] {}));
     }},
    {"MoveOnFromABlockingCall",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), Blocking([] {}));
     }},
    {"WithTimeoutThatIsOver",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) (co_await WithTimeout(-absl::InfiniteDuration(), Forever())).IgnoreError();
     }},
    {"WithDeadlineThatHasPassed",
     [](Rounds& rounds) -> Task<void> {
       const absl::Time past = Now() - absl::Seconds(1);
       while (rounds.Next()) (co_await WithDeadline(past, Forever())).IgnoreError();
     }},
    {"WithStopEventThatIsSet",
     [](Rounds& rounds) -> Task<void> {
       Event stop;
       stop.Set();
       while (rounds.Next()) (co_await WithStopEvent(stop, Forever())).IgnoreError();
     }},
    {"TimedWaitThatIsLate",
     [](Rounds& rounds) -> Task<void> {
       Event event;
       while (rounds.Next()) (co_await WithTimeout(absl::ZeroDuration(), event.Wait())).IgnoreError();
     }},
    {"WithStopTokenThatIsStopped",
     [](Rounds& rounds) -> Task<void> {
       std::stop_source source;
       source.request_stop();
       while (rounds.Next()) (co_await WithStopToken(source.get_token(), Forever())).IgnoreError();
     }},
    {"JoinForOfAChildThatGoesOn",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       scope.Fork(Forever());
       while (rounds.Next()) static_cast<void>(co_await scope.JoinFor(absl::ZeroDuration()));
       co_await scope.Close();
     }},
    {"JoinUntilOfAChildThatGoesOn",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       scope.Fork(Forever());
       const absl::Time past = Now() - absl::Seconds(1);
       while (rounds.Next()) static_cast<void>(co_await scope.JoinUntil(past));
       co_await scope.Close();
     }},
    {"MoveOnFromAJoin",
     [](Rounds& rounds) -> Task<void> {
       AwaitAll scope;
       scope.Fork(Forever());
       const auto join = [](AwaitAll& joined) -> Task<void> { (co_await joined.Join()).IgnoreFailures(); };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), join(scope));
       co_await scope.Close();
     }},
    {"MoveOnFromNextCompleted",
     [](Rounds& rounds) -> Task<void> {
       AsCompleted<void> scope;
       scope.Fork(Forever());
       const auto next = [](AsCompleted<void>& from) -> Task<void> {
         static_cast<void>(co_await from.NextCompleted());
       };
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), next(scope));
       co_await scope.Close();
     }},
    {"MoveOnFromAStart",
     [](Rounds& rounds) -> Task<void> {
       while (rounds.Next()) {
         const auto start = []() -> Task<void> {
           AwaitAll scope;
           static_cast<void>(co_await scope.Start([](Ready) { return Forever(); }));
         };
         co_await MoveOnAfter(absl::ZeroDuration(), start());
       }
     }},
    {"MoveOnFromARead",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), loopback.Read());
     },
     /*needs_io=*/true},
    {"MoveOnFromAWrite",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), loopback.Write());
     },
     /*needs_io=*/true},
    {"MoveOnFromAnAccept",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), loopback.Accept());
     },
     /*needs_io=*/true},
    {"MoveOnFromAConnect",
     [](Rounds& rounds) -> Task<void> {
       Loopback loopback = co_await Loopback::Open();
       while (rounds.Next()) co_await MoveOnAfter(absl::ZeroDuration(), loopback.Connect());
     },
     /*needs_io=*/true},
};

inline std::vector<CheckpointLoop> EveryCheckpointLoop() {
  std::vector<CheckpointLoop> loops(std::begin(kReadyLoops), std::end(kReadyLoops));
  loops.insert(loops.end(), std::begin(kEndedLoops), std::end(kEndedLoops));
  return loops;
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_CHECKPOINT_LOOPS_H_
