// What is taken where a Task is wanted. Goal: everything that takes a Task takes whatever a Task can await, it yields
// what it yields by itself, and what it has acquired is neither lost nor kept. Method: a table of all awaitables by a
// table of all that take them, on every runtime; then a table of waits whose end and whose timeout come at one instant.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tests/support/foreign_task.h"
#include "weft/blocking.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/generator.h"
#include "weft/channel/select.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/io/memory_stream.h"
#include "weft/stop_token.h"
#include "weft/testing/simulation.h"
#include "weft/sync/barrier.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/lazy.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/sync/rate_limiter.h"
#include "weft/thread_builder.h"
#include "weft/ticker.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/shared_mutex.h"
#include "weft/weft.h"

namespace weft {
namespace {

constexpr absl::Duration kLong = absl::Hours(1);

Generator<int> Ones() {
  for (;;) co_yield 1;
}

// What a wait consumes is awaited once: a second time it would yield what it has yielded, or do nothing.
template <class... Awaitable>
constexpr bool kAwaitedOnce = (... && internal::AwaitedOnce<Awaitable>);
static_assert(kAwaitedOnce<decltype(std::declval<Channel<int>&>().Send(1)),
                           decltype(std::declval<Channel<std::string>&>().Send(std::declval<std::string>())),
                           decltype(std::declval<Channel<int>&>().Receive()),
                           decltype(std::declval<Channel<int>&>().ReceiveMany(std::declval<std::vector<int>&>(), 1)),
                           decltype(std::declval<Generator<int>&>().Next()),
                           decltype(std::declval<Exchanger<int>&>().Exchange(1)),
                           decltype(std::declval<Phaser&>().ArriveAndAwaitAdvance()),
                           decltype(std::declval<Barrier&>().ArriveAndWait()),
                           decltype(std::declval<Future<int>>().Get()), decltype(std::declval<Ticker&>().Next()),
                           decltype(Sleep(kLong)), decltype(All(Sleep(kLong), Sleep(kLong))),
                           decltype(std::declval<ConditionVariable&>().Wait(std::declval<MutexGuard&>())),
                           decltype(Blocking(&::getpid)),
                           decltype(std::declval<io::MemoryStream&>().Read(std::declval<MutableBuffer>())),
                           decltype(std::declval<net::TcpStream&>().Read(std::declval<MutableBuffer>())),
                           decltype(std::declval<net::TcpStream&>().Write(std::declval<ConstBuffer>()))>);

// One of everything that is waited for.
struct World {
  static Task<World*> Make() {
    auto* world = new World;
    auto listener = net::TcpListener::Bind("127.0.0.1:0").value();
    world->near.emplace((co_await net::TcpStream::Connect(*listener.local_address())).value());
    world->far.emplace((co_await listener.Accept()).value());
    EXPECT_EQ(co_await world->near->Write(std::string(200, 'x')), absl::OkStatus());
    world->set.Set();
    world->promise.SetValue(1);
    world->executor.Shutdown();
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(world->channel.TrySend(1));
    world->thread = VirtualThread::Start([]() -> Task<void> { co_return; });
    co_return world;
  }
  // Everything was given back.
  void ExpectIdle() {
    EXPECT_TRUE(mutex.TryLock().has_value());
    EXPECT_EQ(semaphore.available(), 2);
    EXPECT_TRUE(recursive.TryLock().has_value());
    EXPECT_TRUE(shared.TryLock().has_value());
  }

  Event set, never;
  Mutex mutex;
  Semaphore semaphore{2};
  RecursiveMutex recursive;
  SharedMutex shared;
  ConditionVariable condition;
  std::optional<net::TcpStream> near, far;
  std::optional<VirtualThread> thread;
  char byte = 0;
  std::array<int, 3> ints = {};
  Promise<int> promise;
  Future<int> future = promise.future();
  VirtualThreadPerTaskExecutor executor;
  Channel<int> channel{kUnbounded};  // more ones than are received
  Generator<int> ones = Ones();
  Latch latch{0};
  Barrier barrier{1};
  Phaser phaser{1};
  Exchanger<int> exchanger;
  Lazy<absl::StatusOr<int>> lazy{[] { return absl::StatusOr<int>(1); }};
  Once once;
  RateLimiter limiter{{.permits_per_second = 1e6, .burst = 1'000'000}};
  DelayQueue<int> delayed;
  Ticker ticker{absl::Microseconds(1)};
  Watch<int> watch{1};
  Watch<int>::Reader reader = watch.NewReader();
};

Task<int> One() {
  co_await Yield();
  co_return 1;
}

// ---- What is awaited: how it is made, and what it yields.

#define WEFT_AWAITABLE(name, value, ...)         \
  struct name {                                  \
    using Value = value;                         \
    static auto Make(World& world) {             \
      static_cast<void>(world);                  \
      return __VA_ARGS__;                        \
    }                                            \
  }

using TwoInts = std::tuple<int, int>;
using IntArray = std::array<int, 2>;
using TwoResults = std::tuple<Unit, MutexGuard>;

WEFT_AWAITABLE(OfTask, int, One());
WEFT_AWAITABLE(OfSleep, void, Sleep(absl::Microseconds(1)));
WEFT_AWAITABLE(OfSleepUntil, void, SleepUntil(Now() + absl::Microseconds(1)));
WEFT_AWAITABLE(OfTick, Tick, world.ticker.Next());
WEFT_AWAITABLE(OfYield, void, Yield());
WEFT_AWAITABLE(OfEvent, void, world.set.Wait());
WEFT_AWAITABLE(OfLatch, void, world.latch.Wait());
WEFT_AWAITABLE(OfLatchArrival, void, world.latch.ArriveAndWait());
// A daemon that is asked to end as it arrives has broken it.
WEFT_AWAITABLE(OfBarrier, absl::StatusOr<int64_t>, (world.barrier.Reset(), world.barrier.ArriveAndWait()));
WEFT_AWAITABLE(OfPhaser, int64_t, world.phaser.ArriveAndAwaitAdvance());
WEFT_AWAITABLE(OfAdvance, int64_t, world.phaser.AwaitAdvance(-1));
struct OfExchange {
  using Value = int;
  // Whoever awaits it meets one.
  static Task<int> Make(World& world) {
    const auto [mine, others] = co_await All(world.exchanger.Exchange(1), world.exchanger.Exchange(1));
    EXPECT_EQ(others, 1);
    co_return mine;
  }
};
using LazyInt = absl::StatusOr<std::reference_wrapper<const int>>;
WEFT_AWAITABLE(OfLazy, LazyInt, world.lazy.Get());
WEFT_AWAITABLE(OfOnce, void, world.once.Run([] {}));
WEFT_AWAITABLE(OfRateLimiter, void, world.limiter.Acquire());
WEFT_AWAITABLE(OfDelayed, std::optional<int>,
               (static_cast<void>(world.delayed.Send(1, absl::ZeroDuration())), world.delayed.Receive()));
WEFT_AWAITABLE(OfMutex, MutexGuard, world.mutex.Lock());
WEFT_AWAITABLE(OfSemaphore, Permit, world.semaphore.Acquire());
WEFT_AWAITABLE(OfPermits, Permit, world.semaphore.Acquire(2));
WEFT_AWAITABLE(OfRecursiveMutex, RecursiveMutexGuard, world.recursive.Lock());
WEFT_AWAITABLE(OfWriter, WriterGuard, world.shared.Lock());
WEFT_AWAITABLE(OfReader, ReaderGuard, world.shared.LockShared());
WEFT_AWAITABLE(OfTimedLock, std::optional<MutexGuard>, world.mutex.LockFor(kLong));
WEFT_AWAITABLE(OfTimedPermit, std::optional<Permit>, world.semaphore.TryAcquireFor(kLong));
struct OfCondition {
  using Value = void;
  static Task<void> Make(World& world) {
    MutexGuard guard = co_await world.mutex.Lock();
    co_await MoveOnAfter(absl::Microseconds(1), world.condition.Wait(guard));
  }
};
WEFT_AWAITABLE(OfThreadJoin, absl::Status, world.thread->Join());
struct OfPark {
  using Value = void;
  // Whoever awaits it finds a permit.
  static Task<void> Make(World&) {
    VirtualThread::Current().Unpark();
    co_await VirtualThread::Park();
  }
};
WEFT_AWAITABLE(OfRead, absl::StatusOr<size_t>, world.far->Read(absl::MakeSpan(&world.byte, 1)));
WEFT_AWAITABLE(OfWrite, absl::Status, world.far->Write("x"));
WEFT_AWAITABLE(OfTimeout, absl::StatusOr<MutexGuard>, WithTimeout(kLong, world.mutex.Lock()));
WEFT_AWAITABLE(OfDeadline, absl::Status, WithDeadline(Now() + kLong, world.set.Wait()));
WEFT_AWAITABLE(OfMoveOn, std::optional<Permit>, MoveOnAfter(kLong, world.semaphore.Acquire()));
WEFT_AWAITABLE(OfMoveOnOfVoid, bool, MoveOnAfter(kLong, world.set.Wait()));
WEFT_AWAITABLE(OfCatch, absl::StatusOr<Permit>, CatchCancelled(world.semaphore.Acquire()));
WEFT_AWAITABLE(OfShield, MutexGuard, Shield(world.mutex.Lock()));
WEFT_AWAITABLE(OfShieldWithGrace, MutexGuard, Shield(kLong, world.mutex.Lock()));
WEFT_AWAITABLE(OfStopToken, absl::StatusOr<MutexGuard>, WithStopToken(std::stop_token(), world.mutex.Lock()));
WEFT_AWAITABLE(OfStopEvent, absl::StatusOr<MutexGuard>, WithStopEvent(world.never, world.mutex.Lock()));
WEFT_AWAITABLE(OfFinally, MutexGuard, Finally(world.mutex.Lock(), [] { return Yield(); }));
WEFT_AWAITABLE(OfAll, TwoResults, All(world.set.Wait(), world.mutex.Lock()));
WEFT_AWAITABLE(OfAllOfTasks, TwoInts, All(One(), One()));
WEFT_AWAITABLE(OfAllOfNothing, std::tuple<>, All());
WEFT_AWAITABLE(OfAllOfRange, void,
               All(std::views::iota(0, 3) | std::views::transform([&](int) { return world.set.Wait(); })));
WEFT_AWAITABLE(OfAllOfArray, IntArray, All(std::array{One(), One()}));
WEFT_AWAITABLE(OfAllIntoSpan, void, All(std::views::iota(0, 3) | std::views::transform([](int) { return One(); }),
                                        std::span(world.ints)));
WEFT_AWAITABLE(OfRace, MutexGuard, Race(world.mutex.Lock(), world.mutex.Lock()));
WEFT_AWAITABLE(OfMap, std::vector<int>, Map(std::views::iota(0, 1), 2, [](int) { return One(); }));
WEFT_AWAITABLE(OfForeign, void, Foreign([]() -> other::task<void> { co_return; }()));

WEFT_AWAITABLE(OfGet, int, world.future.Get());
WEFT_AWAITABLE(OfTryGet, absl::StatusOr<int>, world.future.TryGet());
WEFT_AWAITABLE(OfGetFor, std::optional<int>, world.future.GetFor(kLong));
WEFT_AWAITABLE(OfTermination, bool, world.executor.AwaitTermination());
WEFT_AWAITABLE(OfExecutorClose, void, world.executor.Close());
WEFT_AWAITABLE(OfBlocking, absl::StatusOr<int>, Blocking([] { return 1; }));

// These are for the owner of a scope to await.
#define WEFT_OWNERS_AWAITABLE(name, value, ...)                                 \
  struct name {                                                                 \
    using Value = value;                                                        \
    template <class Scope>                                                      \
    static auto Make(Scope& scope) {                                            \
      return __VA_ARGS__;                                                       \
    }                                                                           \
  }
using MaybeInt = std::optional<int>;
using ClosedOrSet = std::variant<Unit, MaybeInt>;
WEFT_AWAITABLE(OfSend, bool, world.channel.Send(1));
WEFT_AWAITABLE(OfReceive, MaybeInt, world.channel.Receive());
WEFT_AWAITABLE(OfReceiveMany, size_t, world.channel.ReceiveMany(absl::MakeSpan(&world.ints[0], 1)));
WEFT_AWAITABLE(OfSelect, ClosedOrSet, Select(world.never.Wait(), world.channel.Receive()));

WEFT_AWAITABLE(OfGenerator, MaybeInt, world.ones.Next());
using SharedInt = std::shared_ptr<const int>;
WEFT_AWAITABLE(OfNext, SharedInt, (static_cast<void>(world.watch.Set(1)), world.reader.Next()));

using MaybeOutcome = std::optional<Outcome>;
using MaybeSubtask = std::optional<Subtask<int>>;
WEFT_OWNERS_AWAITABLE(OfJoin, Outcome, scope.Join());
WEFT_OWNERS_AWAITABLE(OfJoinFor, MaybeOutcome, scope.JoinFor(kLong));
WEFT_OWNERS_AWAITABLE(OfClose, void, scope.Close());
WEFT_OWNERS_AWAITABLE(OfCloseWithValue, int, scope.Close(1));
WEFT_OWNERS_AWAITABLE(OfNextCompleted, MaybeSubtask, scope.NextCompleted());

// ---- What it yields, alone or in a StatusOr, an optional, a tuple or a vector, is what it ought to be.

void Good(bool value) { EXPECT_TRUE(value); }
void Good(int value) { EXPECT_EQ(value, 1); }
void Good(size_t value) { EXPECT_EQ(value, 1u); }
void Good(int64_t value) { EXPECT_GE(value, 0); }
void Good(std::reference_wrapper<const int> value) { EXPECT_EQ(value.get(), 1); }
void Good(Unit) {}
void Good(const MutexGuard&) {}
void Good(const Permit&) {}
void Good(const RecursiveMutexGuard&) {}
void Good(const WriterGuard&) {}
void Good(const ReaderGuard&) {}
void Good(const Subtask<int>& subtask) { EXPECT_EQ(subtask.state(), AnySubtask::State::kSuccess); }
void Good(const std::shared_ptr<const int>& value) { EXPECT_EQ(*value, 1); }
void Good(const ClosedOrSet& selected) { EXPECT_EQ(std::get<1>(selected), 1); }
void Good(const Tick& tick) { EXPECT_GE(tick.number, tick.missed); }
void Good(const Outcome& outcome) { EXPECT_TRUE(outcome.ok()); }
void Good(const absl::Status& status) { EXPECT_EQ(status, absl::OkStatus()); }
template <class T>
void Good(const absl::StatusOr<T>& value);
template <class T>
void Good(const std::optional<T>& value);
template <class T>
void Good(const std::vector<T>& values);
template <class... T>
void Good(const std::tuple<T...>& values) {
  std::apply([](const auto&... value) { (Good(value), ...); }, values);
}
template <class T>
void Good(const absl::StatusOr<T>& value) {
  EXPECT_EQ(value.status(), absl::OkStatus());
  if (value.ok()) Good(*value);
}
template <class T>
void Good(const std::optional<T>& value) {
  EXPECT_TRUE(value.has_value());
  if (value.has_value()) Good(*value);
}
template <class T>
void Good(const std::vector<T>& values) {
  for (const T& value : values) Good(value);
}

// Awaits `awaitable`, which yields an R.
template <class R, class A>
Task<void> Expect(A awaitable) {
  static_assert(std::is_same_v<decltype(internal::AwaiterOf(std::move(awaitable)).await_resume()), R>);
  if constexpr (std::is_void_v<R>) {
    co_await std::move(awaitable);
  } else {
    Good(co_await std::move(awaitable));
  }
}

// ---- What takes a Task and is awaited: of what yields a V.

template <class V>
using Bounded = internal::BoundaryResult<V>;
template <class V>
using MovedOn = std::conditional_t<std::is_void_v<V>, bool, std::optional<V>>;

const ScopedValue<int> kKey;
Event never;

template <class V, class A>
other::task<void> AwaitAsForeign(A& awaitable) {
  if constexpr (std::is_void_v<V>) {
    co_await AsForeign(std::move(awaitable));
  } else {
    Good(co_await AsForeign(std::move(awaitable)));
  }
}

#define WEFT_TAKER(name, yields, ...)                            \
  struct name {                                                  \
    template <class V, class A>                                  \
    static Task<void> Take(A made) {                             \
      co_await Expect<yields>(__VA_ARGS__);                      \
    }                                                            \
  }

WEFT_TAKER(ByTask, V, std::move(made));
WEFT_TAKER(ByTimeout, Bounded<V>, WithTimeout(kLong, std::move(made)));
WEFT_TAKER(ByDeadline, Bounded<V>, WithDeadline(Now() + kLong, std::move(made)));
WEFT_TAKER(ByMoveOn, MovedOn<V>, MoveOnAfter(kLong, std::move(made)));
WEFT_TAKER(ByCatch, Bounded<V>, CatchCancelled(std::move(made)));
WEFT_TAKER(ByShield, V, Shield(std::move(made)));
WEFT_TAKER(ByShieldWithGrace, V, Shield(kLong, std::move(made)));
WEFT_TAKER(ByStopToken, Bounded<V>, WithStopToken(std::stop_token(), std::move(made)));
WEFT_TAKER(ByStopEvent, Bounded<V>, WithStopEvent(never, std::move(made)));
WEFT_TAKER(ByFinally, V, Finally(std::move(made), [] { return Yield(); }));
WEFT_TAKER(ByWhere, V, Where(kKey, 1).Run(std::move(made)));
WEFT_TAKER(ByForeign, void, Foreign(AwaitAsForeign<V>(made)));

// With names, moved, and awaited later: nothing refers to what is gone.
struct ByName {
  template <class V, class A>
  static Task<void> Take(A made) {
    auto moved = std::move(made);
    auto timed = WithTimeout(kLong, std::move(moved));
    auto timed_and_moved = std::move(timed);
    co_await Yield();
    Good(co_await std::move(timed_and_moved));
  }
};
struct ByNobody {
  template <class V, class A>
  static Task<void> Take(A made) {
    const auto timed = WithTimeout(kLong, std::move(made));
    co_return;
  }
};

template <class... T>
struct List {};
using Takers = List<ByTask, ByTimeout, ByDeadline, ByMoveOn, ByCatch, ByShield, ByShieldWithGrace, ByStopToken,
                    ByStopEvent, ByFinally, ByWhere, ByForeign, ByName, ByNobody>;

template <class V, class F, class... Taker>
Task<void> ByEach(F make, List<Taker...>) {
  (co_await Taker::template Take<V>(make()), ...);
}

// ---- What takes a Task and starts a thread.

template <class V, class F>
Task<void> ByThreads(F make) {
  using U = internal::FlatValue<V>;
  {
    ShutdownOnFailure scope;
    Subtask<U> forked = scope.Fork(make());
    Good(absl::Status(co_await scope.Join()));
    forked.get();
  }
  {
    ShutdownOnFailure scope;
    Subtask<U> forked = scope.Fork([&make] { return make(); });
    Good(absl::Status(co_await scope.Join()));
    forked.get();
  }
  {
    // Nobody holds a lock here that a daemon waits for, in a Shield perhaps. A boundary may catch that the join asks it
    // to end, and the scope has a failure then.
    ShutdownOnFailure scope;
    scope.ForkDaemon(make());
    (co_await scope.Join()).IgnoreFailures();
    scope.ForkDaemon([&make] { return make(); });
    (co_await scope.Join()).IgnoreFailures();
  }
  using Both = std::tuple<internal::TupleElement<V>, Unit>;
  co_await Expect<std::conditional_t<internal::IsStatusLike<V>, absl::StatusOr<Both>, Both>>(All(make(), Yield()));
  const auto range_of_one = [&make] {
    std::vector<decltype(make())> range;
    range.push_back(make());
    return range;
  };
  if constexpr (std::is_void_v<V>) {
    co_await All(range_of_one());
  } else {
    Good(co_await All(range_of_one()));
  }
  co_await Expect<V>(Race(make()));
  co_await Expect<V>(Race(range_of_one()));
  co_await Expect<V>(Any(make()));
  co_await Expect<V>(Any(range_of_one()));
  const std::array<int, 1> once = {1};
  if constexpr (std::is_void_v<V>) {
    co_await ForEach(once, 1, [&make](int) { return make(); });
  } else if constexpr (std::is_void_v<U>) {
    Good(co_await ForEach(once, 1, [&make](int) { return make(); }));
  } else {
    Good(co_await Map(once, 1, [&make](int) { return make(); }));
  }
  Good(co_await MapSettled(once, 1, [&make](int) { return make(); }));
}

template <class A>
Task<void> TakeEverywhere(World& world) {
  using V = typename A::Value;
  static_assert(std::is_same_v<internal::ValueOf<decltype(A::Make(world))>, V>);
  const auto make = [&world] { return A::Make(world); };
  co_await ByEach<V>(make, Takers());
  co_await ByThreads<V>(make);
  world.ExpectIdle();
}

template <class A, class Taker>
Task<void> TakeInScope() {
  AsCompleted<int> scope;
  scope.Fork(One());
  co_await Taker::template Take<typename A::Value>(A::Make(scope));
}
template <class A, class... Taker>
Task<void> TakeByOwner(List<Taker...>) {
  (co_await TakeInScope<A, Taker>(), ...);
}

class AwaitablesTest : public ::testing::TestWithParam<int> {
 protected:
  // With real sockets; few runs, since the table is about what compiles and what is yielded.
  template <class... A>
  static void Run() {
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    (*runtime)->Run([]() -> Task<void> {
      const std::unique_ptr<World> world(co_await World::Make());
      (co_await TakeEverywhere<A>(*world), ...);
    }());
  }
};
INSTANTIATE_TEST_SUITE_P(Carriers, AwaitablesTest, ::testing::Values(1, 2, 4), ::testing::PrintToStringParamName());

TEST_P(AwaitablesTest, WaitsAreTakenWhereverATaskIs) {
  Run<OfTask, OfSleep, OfSleepUntil, OfTick, OfYield, OfEvent, OfMutex, OfSemaphore, OfThreadJoin, OfPark, OfRead,
      OfWrite>();
}

TEST_P(AwaitablesTest, WaitsForEachOtherAreTakenWhereverATaskIs) {
  Run<OfLatch, OfLatchArrival, OfBarrier, OfPhaser, OfAdvance, OfExchange, OfLazy, OfOnce, OfRateLimiter, OfDelayed>();
}

TEST_P(AwaitablesTest, LocksAreTakenWhereverATaskIs) {
  Run<OfPermits, OfRecursiveMutex, OfWriter, OfReader, OfTimedLock, OfTimedPermit, OfCondition>();
}

TEST_P(AwaitablesTest, BoundariesAreTakenWhereverATaskIs) {
  Run<OfTimeout, OfDeadline, OfMoveOn, OfMoveOnOfVoid, OfCatch, OfShield, OfShieldWithGrace, OfStopToken,
      OfStopEvent, OfFinally>();
}

TEST_P(AwaitablesTest, WhatStartsThreadsIsTakenWhereverATaskIs) {
  Run<OfAll, OfAllOfTasks, OfAllOfNothing, OfAllOfRange, OfRace, OfMap, OfForeign, OfBlocking>();
  Run<OfGet, OfTryGet, OfGetFor, OfTermination, OfExecutorClose>();
  Run<OfSend, OfReceive, OfReceiveMany, OfSelect, OfNext, OfGenerator>();
}

TEST_P(AwaitablesTest, WhatTheOwnerOfAScopeAwaitsIsTakenByBoundaries) {
  const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = GetParam()});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  (*runtime)->Run([]() -> Task<void> {
    co_await TakeByOwner<OfJoin>(Takers());
    co_await TakeByOwner<OfJoinFor>(Takers());
    co_await TakeByOwner<OfClose>(Takers());
    co_await TakeByOwner<OfCloseWithValue>(Takers());
    co_await TakeByOwner<OfNextCompleted>(Takers());
  }());
}

TEST_P(AwaitablesTest, ARuntimeRunsThem) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create({.parallelism = GetParam()}).value();
  Mutex mutex;
  { const MutexGuard guard = runtime->Run(mutex.Lock()); }
  runtime->Run(Sleep(absl::Microseconds(1)));
  EXPECT_EQ(runtime->TryRun(WithTimeout(kLong, Yield())), absl::OkStatus());
  EXPECT_TRUE(runtime->TryRun(mutex.Lock()).ok());
}

TEST(AwaitablesDeathTest, AJoinByAnotherThreadThanTheOwnerIsRefused) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.Run([]() -> Task<void> {
          AwaitAll scope;
          AwaitAll other;
          other.Fork(scope.Join());
          (co_await other.Join()).IgnoreFailures();
        }());
      },
      "a join is awaited by .*; the scope is owned by ");
}

// ---- The end of a wait and its timeout, at one instant.

// Awaits `awaitable` for as long as it takes `grant` to grant it: either it is there, and was not late, or it is late,
// and nothing was taken. Gives which.
template <class A, class F>
Task<bool> AtOneInstant(A awaitable, F grant) {
  AwaitAll scope;
  scope.Fork([&grant]() -> Task<void> {
    co_await Sleep(absl::Milliseconds(1));
    grant();
  });
  auto got = co_await WithTimeout(absl::Milliseconds(1), std::move(awaitable));
  const absl::Status status = [&] {
    if constexpr (std::is_same_v<decltype(got), absl::Status>) {
      return got;
    } else {
      return got.status();
    }
  }();
  if (!status.ok()) EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kTimeout);
  (co_await scope.Join()).IgnoreFailures();
  co_return status.ok();
}

TEST(AwaitablesTest, WhatIsThereInTheInstantOfATimeoutIsNeitherLostNorKept) {
  int in_time = 0, late = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    testing::Simulation simulation({.carriers = static_cast<int>(seed % 3) + 1, .seed = seed});
    simulation.Run([](int& in_time, int& late) -> Task<void> {
      Mutex mutex;
      {
        std::optional<MutexGuard> held = mutex.TryLock();
        ++(co_await AtOneInstant(mutex.Lock(), [&] { held->Unlock(); }) ? in_time : late);
      }
      EXPECT_TRUE(mutex.TryLock().has_value());
      Semaphore semaphore(1);
      {
        std::optional<Permit> held = semaphore.TryAcquire();
        ++(co_await AtOneInstant(semaphore.Acquire(), [&] { held->Release(); }) ? in_time : late);
      }
      EXPECT_EQ(semaphore.available(), 1);
      Event event;
      ++(co_await AtOneInstant(event.Wait(), [&] { event.Set(); }) ? in_time : late);
      // And through several.
      {
        std::optional<MutexGuard> held = mutex.TryLock();
        ++(co_await AtOneInstant(All(CatchCancelled(mutex.Lock()), Yield()), [&] { held->Unlock(); }) ? in_time : late);
      }
      EXPECT_TRUE(mutex.TryLock().has_value());
    }(in_time, late));
  }
  EXPECT_GT(in_time, 0);
  EXPECT_GT(late, 0);
}

TEST(AwaitablesTest, WhatWasLateIsStillThere) {
  testing::Simulation simulation({.carriers = 1, .seed = 1, .io = IoBackend::kAuto});
  simulation.Run([]() -> Task<void> {
    const std::unique_ptr<World> world(co_await World::Make());
    char buffer[8];
    for (int i = 0; i < 25; ++i) EXPECT_EQ((co_await world->far->Read(absl::MakeSpan(buffer))).value(), 8u);
    EXPECT_EQ((co_await WithTimeout(absl::Milliseconds(1), world->far->Read(absl::MakeSpan(buffer)))).status().code(),
              absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(co_await world->near->Write("late"), absl::OkStatus());
    EXPECT_EQ((co_await WithTimeout(kLong, world->far->Read(absl::MakeSpan(buffer)))).value(), 4u);
  }());
}

}  // namespace
}  // namespace weft
