// Row F1b. Goal: what wakes, completes, cancels, fires and destroys neither allocates nor throws. Method: the allocator
// of the program and the throwing of exceptions are hooked, and the frame cache counts. In directed tests a window is
// open while virtual threads are woken, end, or are unwound. Then every scenario of scopes runs, cancelled at every
// checkpoint and left at every step, with a window open whenever no virtual thread runs, and while one is unwound.
#include <cxxabi.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <typeinfo>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/cancel/cancel_at.h"
#include "tests/cancel/scope_run.h"
#include "tests/cancel/scope_scenarios.h"
#include "tests/support/allocator.h"
#include "tests/support/counted.h"
#include "tests/support/proof_row.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/delay_queue.h"
#include "weft/channel/select.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/scope.h"
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
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

// What is forbidden, and what happened nevertheless. Everything is on one OS thread.
struct Watch {
  int windows = 0;           // open
  bool by_observer = false;  // one that is opened and closed between any two events
  bool tooling = false;      // the test's own work, in the middle of it
  internal::ScopedFrameFault* frames = nullptr;
  int64_t frames_before = 0;

  int64_t allocations = 0;
  int64_t first_bytes = 0;
  int64_t throws = 0;

  bool open() const { return (windows > 0 || by_observer) && !tooling; }
  void Allocated(size_t bytes) {
    if (open() && allocations++ == 0) first_bytes = static_cast<int64_t>(bytes);
  }
  // Before open() changes: the frames since the last change.
  void Settle() {
    if (frames == nullptr) return;
    const int64_t now = frames->allocations();
    if (open()) allocations += now - frames_before;
    frames_before = now;
  }
};
constinit Watch watch;

// Nothing is allocated and nothing thrown while it lives.
class Window {
 public:
  Window() {
    watch.Settle();
    ++watch.windows;
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window() {
    watch.Settle();
    --watch.windows;
  }
};

// Around all that is watched.
class Watched {
 public:
  Watched() {
    watch = Watch();
    watch.frames = &frames_;
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() {
    EXPECT_EQ(watch.allocations, 0) << "the first of " << watch.first_bytes << " bytes; 0: a frame";
    EXPECT_EQ(watch.throws, 0);
    watch.frames = nullptr;
  }

 private:
  internal::ScopedFrameFault frames_{{.times = 0}};
};

// Before main().
[[maybe_unused]] const bool hooked = [] {
  may_allocate = [](size_t bytes, bool) noexcept {
    watch.Allocated(bytes);
    return true;
  };
  return true;
}();

}  // namespace
}  // namespace weft::testing

// The C++ runtime's, for whoever throws. (Itanium C++ ABI, 2.4.3)
extern "C" void __cxa_throw(void* exception, std::type_info* type, void (*destructor)(void*)) {
  if (weft::testing::watch.open()) ++weft::testing::watch.throws;
  using Throw = void (*)(void*, std::type_info*, void (*)(void*));
  reinterpret_cast<Throw>(dlsym(RTLD_NEXT, "__cxa_throw"))(exception, type, destructor);
  std::abort();
}

namespace weft::testing {
namespace {

// ---- The hooks themselves.

TEST(NoAllocationTest, TheHooksSeeAllocationsFramesAndThrows) {
  internal::ScopedFrameFault frames({.times = 0});
  watch = Watch();
  watch.frames = &frames;
  constexpr size_t kBytes = 400;
  const auto allocate = [] {
    ::operator delete(::operator new(kBytes));  // a call, which unlike a new-expression is not optimised away
    internal::FreeFrame(internal::AllocateFrame(64), 64);
#if WEFT_EXCEPTIONS
    try {
      throw kBytes;
    } catch (size_t) {
    }
#endif
  };
  allocate();
  watch.Settle();
  EXPECT_EQ(watch.allocations, 0);
  EXPECT_EQ(watch.throws, 0);
  {
    const Window window;
    allocate();
  }
  EXPECT_EQ(watch.allocations, 2);
  EXPECT_EQ(watch.first_bytes, kBytes);
  EXPECT_EQ(watch.throws, WEFT_EXCEPTIONS);
  watch = Watch();
}

// ---- Windows around what is done.

constexpr int kChildren[] = {1, 20, 200};
constexpr int kMaxCalls = 64;  // SimulationOptions::max_pool_size

// Calls body(children) in simulations of one to three carriers under several seeds. No spare carriers: who starts one
// allocates.
template <class Body>
void Everywhere(ProofRow& row, Body body) {
  for (const int children : kChildren) {
    for (int carriers = 1; carriers <= 3; ++carriers) {
      for (uint64_t seed = 1; seed <= 3 && !::testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE(absl::StrCat("children: ", children, ", carriers: ", carriers, ", seed: ", seed));
        Counted::alive = 0;
        const Watched watched;
        Simulation({.carriers = carriers, .seed = seed, .min_runnable = 0}).Run(body(children));
        EXPECT_EQ(Counted::alive, 0);
        row.AddRun();
      }
    }
  }
}

// In a simulation time passes when all are parked.
internal::SleepAwaiter UntilAllAreParked() { return Sleep(absl::Milliseconds(1)); }

Task<Counted> AfterEvent(Event& go) {
  const Counted local(1);
  co_await go.Wait();
  co_return Counted(local.value());
}
Task<absl::Status> FailAfterEvent(Event& go, absl::Status failure) {
  const Counted local;
  co_await go.Wait();
  co_return failure;
}

// What children may be parked in, with everything that they hold.
struct Parking {
  Event never;
  Mutex mutex;
  Semaphore none{0};
  std::optional<MutexGuard> held = mutex.TryLock();
  RecursiveMutex recursive;
  std::optional<RecursiveMutexGuard> held_too = recursive.TryLock();
  SharedMutex shared;
  std::optional<ReaderGuard> read = shared.TryLockShared();
  Mutex of_condition;
  ConditionVariable condition;
  Promise<int> promise;
  Channel<Counted> channel{0};
  Channel<Counted> other{0};
};

Task<void> Parked(Parking& parking, int i) {
  const Counted local;
  switch (i % 16) {
    case 0:
      co_await parking.never.Wait();
      break;
    case 1:
      co_await Sleep(absl::InfiniteDuration());
      break;
    case 2: {
      const MutexGuard guard = co_await parking.mutex.Lock();
      break;
    }
    case 3: {
      const Permit permit = co_await parking.none.Acquire();
      break;
    }
    case 4: {
      AwaitAll inner;
      inner.Fork(AfterEvent(parking.never));
      inner.Fork([&parking, kept = Counted()] { return AfterEvent(parking.never); }, {.name = "a child"});
      (co_await inner.Join()).IgnoreFailures();
      break;
    }
    case 5:
      co_await MoveOnAfter(absl::Hours(1), AfterEvent(parking.never));
      break;
    case 6: {
      AsCompleted<Counted> inner({.timeout = absl::Hours(1)});
      inner.Fork(AfterEvent(parking.never));
      co_await inner.NextCompleted();
      break;
    }
    case 7:
      co_await All(AfterEvent(parking.never), AfterEvent(parking.never));
      break;
    case 8: {
      AwaitAll inner({.max_concurrency = 1});
      for (int child = 0; child < 3; ++child)
        inner.Fork([&parking, kept = Counted()] { return AfterEvent(parking.never); });
      (co_await inner.Join()).IgnoreFailures();
      break;
    }
    case 9:
      co_await parking.promise.future().Get();
      break;
    case 10:
      co_await parking.channel.Receive();
      break;
    case 11:
      co_await parking.other.Send(Counted(1));
      break;
    case 12:
      co_await Select(parking.channel.Receive(), parking.never.Wait(), parking.other.Send(Counted(1)),
                      Sleep(absl::Hours(1)), parking.mutex.Lock(), parking.none.Acquire());
      break;
    case 13: {
      const RecursiveMutexGuard guard = co_await parking.recursive.Lock();
      break;
    }
    case 14: {
      const WriterGuard guard = co_await parking.shared.Lock();
      break;
    }
    case 15: {
      MutexGuard guard = co_await parking.of_condition.Lock();
      co_await parking.condition.Wait(guard);
      break;
    }
  }
  ADD_FAILURE() << "nobody wakes it";
}

TEST(NoAllocationTest, WakingAllocatesNothing) {
  ProofRow row("F1b", "events, mutexes, semaphores and ends of threads and unparks that wake");
  Everywhere(row, [](int children) -> Task<void> {
    Event go;
    Mutex mutex;
    Semaphore semaphore(1);
    RecursiveMutex recursive;
    SharedMutex shared;
    Mutex of_condition;
    ConditionVariable condition;
    MutexGuard guard = co_await mutex.Lock();
    Permit permit = co_await semaphore.Acquire();
    RecursiveMutexGuard again = co_await recursive.Lock();
    WriterGuard writing = co_await shared.Lock();
    AwaitAll scope;
    std::vector<VirtualThread> parked;
    const VirtualThread joined = VirtualThread::Start([&go, kept = Counted()] { return AfterEvent(go); });
    for (int i = 0; i < children; ++i) {
      scope.Fork(AfterEvent(go));
      scope.Fork(joined.Join());
      parked.push_back(VirtualThread::Start([] { return VirtualThread::Park(); }));
      scope.Fork(parked.back().Join());
      scope.Fork([&mutex]() -> Task<void> { const MutexGuard mine = co_await mutex.Lock(); });
      scope.Fork([&semaphore]() -> Task<void> { const Permit mine = co_await semaphore.Acquire(); });
      scope.Fork([&recursive]() -> Task<void> { const RecursiveMutexGuard mine = co_await recursive.Lock(); });
      scope.Fork([&shared]() -> Task<void> { const WriterGuard mine = co_await shared.Lock(); });
      scope.Fork([&shared]() -> Task<void> { const ReaderGuard mine = co_await shared.LockShared(); });
      scope.Fork([&of_condition, &condition]() -> Task<void> {
        MutexGuard mine = co_await of_condition.Lock();
        co_await condition.Wait(mine);
      });
    }
    Promise<int> promise;
    for (int i = 0; i < children; ++i) {
      scope.Fork([future = promise.future()]() -> Task<void> { EXPECT_EQ(co_await future.Get(), 1); });
    }
    // Before: what as many calls run on at once.
    {
      AwaitAll calls;
      int begun = 0;
      for (int i = 0; i < children; ++i) {
        calls.Fork([&begun, children]() -> Task<absl::Status> {
          co_return co_await Blocking([&] {
            ++begun;
            while (begun < std::min(children, kMaxCalls)) static_cast<void>(CancelRequested());
          });
        });
      }
      EXPECT_TRUE((co_await calls.Join()).ok());
    }
    for (int i = 0; i < children; ++i) {
      scope.Fork([&go]() -> Task<void> {
        co_await go.Wait();
        EXPECT_EQ(co_await Blocking([] {}), absl::OkStatus());
      });
    }
    Channel<Counted> to(0), from(0), closed(0);
    for (int i = 0; i < children; ++i) {
      scope.Fork([&to]() -> Task<void> { EXPECT_EQ((co_await to.Receive())->value(), 1); });
      scope.Fork([&from]() -> Task<void> { EXPECT_TRUE(co_await from.Send(Counted(1))); });
      scope.Fork([&closed]() -> Task<void> { EXPECT_FALSE(co_await closed.Send(Counted(1))); });
      scope.Fork([&]() -> Task<void> {
        auto got = co_await Select(Sleep(absl::Hours(1)), to.Receive(), closed.Send(Counted(1)));
        EXPECT_NE(got.index(), 0u);
      });
    }
    co_await UntilAllAreParked();
    const Window window;
    go.Set();
    for (int i = 0; i < children; ++i) {
      EXPECT_TRUE(to.TrySend(Counted(1)));
      EXPECT_TRUE(from.TryReceive().has_value());
    }
    closed.Close();
    for (; to.TrySend(Counted(1));) continue;
    for (const VirtualThread& each : parked) each.Unpark();
    guard.Unlock();
    permit.Release();
    again.Unlock();
    writing.Unlock();
    condition.NotifyAll();
    promise.SetValue(1);
    // They wake each other, and end.
    (co_await scope.Join()).IgnoreFailures();
  });
}

// What threads meet at, with as many of them in each as there are children.
struct Meeting {
  explicit Meeting(int children) : latch(1), barrier(children + 1, [] {}), phaser(children + 1) {}

  void ForkAll(AwaitAll& scope) {
    scope.Fork([this]() -> Task<void> { co_await latch.Wait(); });
    scope.Fork([this]() -> Task<void> { EXPECT_EQ(co_await phaser.ArriveAndAwaitAdvance(), 1); });
    scope.Fork([this]() -> Task<void> { EXPECT_EQ(co_await phaser.AwaitAdvance(0), 1); });
    scope.Fork([this, kept = Counted()]() -> Task<void> {
      co_await once.Run([this]() -> Task<void> { co_await go.Wait(); });
    });
    scope.Fork([this]() -> Task<void> { EXPECT_EQ(co_await lazy.Get(), 1); });
    scope.Fork([this]() -> Task<void> { EXPECT_FALSE((co_await delayed.Receive()).has_value()); });
  }

  Task<void> Arrive() { EXPECT_TRUE((co_await barrier.ArriveAndWait()).ok()); }

  Event go;
  Latch latch;
  Barrier barrier;
  Phaser phaser;
  Once once;
  Lazy<int> lazy{[this]() -> Task<int> {
    co_await go.Wait();
    co_return 1;
  }};
  DelayQueue<Counted> delayed;
};

TEST(NoAllocationTest, WakingThoseWhoMeetAllocatesNothing) {
  ProofRow row("F1b", "latches, barriers, phasers, exchangers, onces, lazies and delay queues that wake");
  Everywhere(row, [](int children) -> Task<void> {
    Meeting meeting(children);
    Exchanger<Counted> exchanger;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) {
      meeting.ForkAll(scope);
      scope.Fork([&, kept = Counted()] { return meeting.Arrive(); });
    }
    scope.Fork([&]() -> Task<void> { EXPECT_EQ((co_await exchanger.Exchange(Counted(1))).value(), 2); });
    co_await UntilAllAreParked();
    const Window window;
    meeting.latch.CountDown();
    EXPECT_TRUE((co_await meeting.barrier.ArriveAndWait()).ok());
    meeting.phaser.Arrive();
    meeting.go.Set();
    meeting.delayed.Close();
    EXPECT_EQ((co_await exchanger.Exchange(Counted(2))).value(), 1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST(NoAllocationTest, UnwindingThoseWhoMeetAllocatesNothing) {
  ProofRow row("F1b", "scopes that are shut down, with those who meet in them");
  Everywhere(row, [](int children) -> Task<void> {
    Meeting meeting(children);
    RateLimiter limiter({.permits_per_second = 1e-3});
    EXPECT_TRUE(limiter.TryAcquire());
    AwaitAll scope;
    for (int i = 0; i < children; ++i) {
      meeting.ForkAll(scope);
      scope.Fork(limiter.Acquire());
    }
    // One only: the others would be told why the barrier is broken, in words.
    scope.Fork([&, kept = Counted()] { return meeting.Arrive(); });
    meeting.delayed.Send(Counted(1), absl::Hours(1));
    co_await UntilAllAreParked();
    const Window window;
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(meeting.latch.count(), 1);
    EXPECT_TRUE(meeting.barrier.IsBroken());
    EXPECT_EQ(meeting.phaser.arrived(), 0);
    EXPECT_FALSE(meeting.once.IsDone());
    EXPECT_EQ(meeting.lazy.TryGet(), nullptr);
  });
}

TEST(NoAllocationTest, WakingThoseWhoseTimeHasComeAllocatesNothing) {
  ProofRow row("F1b", "rate limiters and delay queues whose time has come");
  Everywhere(row, [](int children) -> Task<void> {
    RateLimiter limiter({.permits_per_second = 100});
    EXPECT_TRUE(limiter.TryAcquire());
    DelayQueue<Counted> delayed;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) {
      scope.Fork(limiter.Acquire());
      scope.Fork([&]() -> Task<void> { EXPECT_EQ((co_await delayed.Receive())->value(), 1); });
      EXPECT_TRUE(delayed.Send(Counted(1), absl::Milliseconds(2)));
    }
    co_await UntilAllAreParked();
    const Window window;
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST(NoAllocationTest, CompletingAllocatesNothing) {
  ProofRow row("F1b", "children that succeed and fail");
  Everywhere(row, [](int children) -> Task<void> {
    Event go;
    const absl::Status failure =
        absl::DataLossError("as planned, and too long for any object to hold it without memory");
    AwaitAll all;
    AsCompleted<Counted> queue;
    ShutdownOnSuccess<Counted> first;
    ShutdownOnFailure failing;
    int reported = 0;
    Supervisor supervisor([&reported](const AnySubtask&) { ++reported; });
    AllUntil<Counted> until([](const Subtask<Counted>& subtask) { return subtask->value() == 2; });
    for (int i = 0; i < children; ++i) {
      all.Fork(AfterEvent(go));
      all.Fork(FailAfterEvent(go, failure));
      queue.Fork(AfterEvent(go));
      first.Fork(AfterEvent(go));
      failing.Fork(FailAfterEvent(go, failure));
      supervisor.Fork(FailAfterEvent(go, failure));
      until.Fork(AfterEvent(go));
    }
    co_await UntilAllAreParked();
    {
      const Window window;
      go.Set();
      for (int i = 0; i < children; ++i) co_await queue.NextCompleted();
      co_await UntilAllAreParked();
    }
    EXPECT_EQ(reported, children);
    (co_await until.Join()).clear();
    (co_await supervisor.Join()).IgnoreFailures();
    (co_await failing.Join()).IgnoreFailures();
    (co_await first.Join()).IgnoreFailures();
    (co_await queue.Join()).IgnoreFailures();
    (co_await all.Join()).IgnoreFailures();
  });
}

TEST(NoAllocationTest, ShuttingDownAndUnwindingAllocatesNothing) {
  ProofRow row("F1b", "scopes that are shut down, with their trees");
  Everywhere(row, [](int children) -> Task<void> {
    Parking parking;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) scope.Fork(Parked(parking, i));
    co_await UntilAllAreParked();
    const Window window;
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST(NoAllocationTest, ClosingAllocatesNothing) {
  ProofRow row("F1b", "scopes that are closed");
  Everywhere(row, [](int children) -> Task<void> {
    Parking parking;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) scope.Fork(Parked(parking, i));
    co_await UntilAllAreParked();
    const Window window;
    co_await scope.Close();
  });
}

TEST(NoAllocationTest, LeavingAScopeWithLiveChildrenAllocatesNothing) {
  ProofRow row("F1b", "destructors of scopes with live children");
  Everywhere(row, [](int children) -> Task<void> {
    Parking parking;
    std::optional<Window> window;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) scope.Fork(Parked(parking, i));
    co_await UntilAllAreParked();
    window.emplace();
  });
}

TEST(NoAllocationTest, TimersFireWithoutAllocating) {
  ProofRow row("F1b", "sleeps, timeouts and timeouts of scopes that end");
  Everywhere(row, [](int children) -> Task<void> {
    Parking parking;
    AwaitAll scope;
    for (int i = 0; i < children; ++i) {
      scope.Fork([i, held = Counted()]() -> Task<void> { co_await Sleep(absl::Milliseconds(2 + i % 5)); });
      scope.Fork(
          [&parking, i]() -> Task<void> { co_await MoveOnAfter(absl::Milliseconds(2 + i % 5), Parked(parking, i)); });
      scope.Fork([&parking, i]() -> Task<void> {
        AwaitAll timed({.timeout = absl::Milliseconds(2 + i % 5)});
        timed.Fork(Parked(parking, i));
        co_await Sleep(absl::Milliseconds(10));
        EXPECT_TRUE(timed.IsShutdown());
        co_await timed.Close();
      });
    }
    co_await UntilAllAreParked();
    const Window window;
    (co_await scope.Join()).IgnoreFailures();
  });
}

// ---- Windows around all that is not a virtual thread's own code.

// Open while nothing is mounted, while what is mounted is unwound up to its root, and while something is done to the
// run.
class Windows final : public ScopeRun::Around {
 public:
  void OnStart(const ext::ThreadEvent& event) noexcept override {
    const Tooling tooling;
    next->OnStart(event);
  }
  void OnMount(const ext::ThreadEvent& event) noexcept override {
    const Tooling tooling;
    if (root_ == 0) root_ = event.thread;
    const internal::ThreadBlock& thread = *internal::CurrentThread();
    mounted_.push_back({event.carrier, thread.unwind && IsUnwoundToRoot(thread)});
    next->OnMount(event);
    SetOpen();
  }
  void OnUnmount(const ext::ThreadEvent& event) noexcept override {
    const Tooling tooling;
    mounted_.erase(Innermost(event.carrier));
    next->OnUnmount(event);
    SetOpen();
  }
  void OnCheckpoint(uint64_t thread) noexcept override {
    const Tooling tooling;
    next->OnCheckpoint(thread);
    // Asked to end by now, it ends here.
    const internal::ThreadBlock& self = *internal::CurrentThread();
    if (!IsUnwoundToRoot(self)) return;
    const uint32_t carrier = (self.mounted.load(std::memory_order_relaxed) & ~internal::ThreadBlock::kMountedBit) - 1;
    Innermost(static_cast<int>(carrier))->unwound = true;
    SetOpen();
  }
  void OnEnd(const ext::ThreadEvent& event) noexcept override {
    const Tooling tooling;
    next->OnEnd(event);
    if (event.thread != root_) return;
    ended_ = true;
    SetOpen();
  }
  void BeginAct() noexcept override {
    watch.Settle();
    tooling_around_act_ = std::exchange(watch.tooling, false);
    ++watch.windows;
    ++acts;
  }
  void EndAct() noexcept override {
    watch.Settle();
    watch.tooling = tooling_around_act_;
    --watch.windows;
  }

  int acts = 0;

 private:
  struct Tooling {
    Tooling() {
      watch.Settle();
      watch.tooling = true;
    }
    ~Tooling() {
      watch.Settle();
      watch.tooling = false;
    }
  };
  // A carrier has several, one in the destructor of another, if that waits.
  struct Mounted {
    int carrier;
    bool unwound;
  };

  std::vector<Mounted>::iterator Innermost(int carrier) {
    auto at = mounted_.end();
    do --at;
    while (at->carrier != carrier);
    return at;
  }
  static bool IsUnwoundToRoot(const internal::ThreadBlock& thread) {
    // relaxed: all is on one OS thread.
    for (internal::Record* at = thread.records.load(std::memory_order_relaxed); at != nullptr; at = at->outer) {
      if (at->kind != internal::Record::Kind::kScope) return false;
    }
    return thread.asked();
  }
  void SetOpen() {
    bool open = root_ != 0 && !ended_;
    for (const Mounted& each : mounted_) open = open && each.unwound;
    watch.by_observer = open;
  }

  uint64_t root_ = 0;
  bool ended_ = false;
  bool tooling_around_act_ = false;
  std::vector<Mounted> mounted_;
};

TEST(NoAllocationTest, WhateverIsDoneToAScenarioAllocatesNothingOutsideOfItsThreads) {
  ProofRow row("F1b", "scenarios of scopes, cancelled at every checkpoint and left at every step");
  using Act = ScopeRun::Act;
  for (const Act act : {Act::kShutdown, Act::kReturn, Act::kClose, Act::kAbandon}) {
    const Occasion step = act == Act::kShutdown ? Occasion::kCheckpoint : Occasion::kMount;
    for (const Scenario& scenario : kScenarios) {
      for (int carriers = 1; carriers <= 3; ++carriers) {
        ScopeRun::Plan plan = {.carriers = carriers, .seed = 1, .step = step, .act = act};
        const int steps = ScopeRun::Try(scenario, plan).steps;
        for (plan.first = 0; plan.first <= steps && !HasFailure(); ++plan.first) {
          SCOPED_TRACE(absl::StrCat(scenario.name, ", carriers: ", carriers, ", act ", static_cast<int>(act),
                                    " at step ", plan.first, " of ", steps));
          Windows windows;
          plan.around = &windows;
          const Watched watched;
          ScopeRun::Try(scenario, plan);
          EXPECT_GE(windows.acts, 1);
          row.AddRun();
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft::testing
