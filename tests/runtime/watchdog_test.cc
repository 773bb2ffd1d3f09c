// The watchdog. Goal: a carrier that is held is reported once for each hold, with the thread and the stack; others run
// on a spare carrier meanwhile, which retires; the memory of frames goes back when it is not needed. Method: the test
// calls Look() in the watchdog's place, at times of its own choice; the runtime's own watchdog has a threshold of
// hours. The last tests let the real one look, and wait for what it does.
#include "lib/runtime/watchdog.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/coro/frame_cache.h"
#include "lib/os/stack_sampler.h"
#include "lib/runtime/memory_return.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/on_both.h"
#include "weft/executor/per_task_executor.h"
#include "weft/held_carrier.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

using internal::MemoryReturn;
using internal::Watchdog;

constexpr absl::Duration kThreshold = absl::Hours(2);
constexpr int64_t kHourNanos = 3'600'000'000'000;

void Await(const std::atomic<bool>& flag) {
  while (!flag) sched_yield();
}

// However late the system lets a carrier run, its report has a stack.
[[maybe_unused]] const bool patient = [] {
  internal::g_sample_patience_ns = 60'000'000'000;
  return true;
}();

// Abseil's symbolizer leaves the files open that it has read: before the first test counts descriptors.
[[maybe_unused]] const std::string warm_up = [] {
  void* stack[] = {reinterpret_cast<void*>(&Await), reinterpret_cast<void*>(&::getpid),
                   reinterpret_cast<void*>(&std::terminate)};
  HeldCarrier held;
  held.stack = stack;
  return held.ToString();
}();

// Until so many carriers run something. A thread has parked, or has announced its end, before its carrier is done with
// it; a look at a time of the test's own choice would take that for a hold.
void AwaitRunning(Runtime& runtime, int carriers) {
  internal::RuntimeCore& core = runtime.core();
  for (int running = -1; running != carriers; sched_yield()) {
    running = 0;
    for (uint32_t i = 0; i < core.carrier_count(); ++i) {
      running += core.carrier(i).running.load(std::memory_order_relaxed) ? 1 : 0;
    }
  }
}

struct Reported {
  int carrier;
  absl::Duration held;
  uint64_t thread;
  std::string name;
  size_t frames;
  std::string text;
};

// A runtime whose carriers are looked at by the test.
class Watched {
 public:
  explicit Watched(RuntimeOptions options, bool with_handler = true) {
    options.held_carrier_threshold = kThreshold;
    if (with_handler) {
      options.on_held_carrier = [this](const HeldCarrier& held) {
        reports.push_back({held.carrier, held.held, held.thread, std::string(held.name), held.stack.size(),
                           held.ToString()});
      };
    }
    runtime = Runtime::Create(options).value();
    watchdog = Watchdog::Make(runtime->core(),
                              [](pid_t) noexcept {
                                if (at_use != nullptr) std::exchange(at_use, nullptr)();
                                return knows ? std::optional(use) : std::nullopt;
                              });
    use = {.runnable = true};
    knows = true;
  }

  // In which every OS thread has run.
  void LookAfter(int64_t hours) {
    use.ran_ns += hours * kHourNanos;
    PassAndLook(hours);
  }
  // In which they have had of the processors what `use` says.
  void PassAndLook(int64_t hours) {
    now_ns_ += hours * kHourNanos;
    watchdog->Look(now_ns_);
  }
  // Enough looks for whatever is held by now.
  void LookUntilReported() {
    for (int i = 0; i < 3; ++i) LookAfter(3);
  }

  std::vector<Reported> reports;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Watchdog> watchdog;
  static inline internal::ProcessorUse use;  // of any OS thread
  static inline bool knows = true;
  static inline std::function<void()> at_use;  // called when a look asks for that next

 private:
  int64_t now_ns_ = 0;
};

// One way to hold a carrier, until Release().
class Holder {
 public:
  virtual ~Holder() = default;
  virtual void Hold() = 0;  // sets `begun`
  virtual void Release() = 0;

  std::atomic<bool> begun{false};
};

class Loop final : public Holder {
 public:
  [[gnu::noinline]] void Hold() override {
    begun = true;
    while (!go_.load()) {
    }
  }
  void Release() override { go_ = true; }

 private:
  std::atomic<bool> go_{false};
};

class BlockingRead final : public Holder {
 public:
  BlockingRead() { EXPECT_EQ(::pipe(ends_), 0); }
  ~BlockingRead() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  [[gnu::noinline]] void Hold() override {
    begun = true;
    char byte;
    // A signal does not end it: what asks for the stack lets the call be restarted.
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
  }
  void Release() override { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }

 private:
  int ends_[2];
};

class HeldMutex final : public Holder {
 public:
  HeldMutex() { mutex_.lock(); }
  [[gnu::noinline]] void Hold() override {
    begun = true;
    const std::lock_guard guard(mutex_);
  }
  void Release() override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

template <class H>
std::unique_ptr<Holder> Make() {
  return std::make_unique<H>();
}
struct Way {
  const char* name;
  std::unique_ptr<Holder> (*make)();
};
constexpr Way kWays[] = {{"Loop", &Make<Loop>}, {"BlockingRead", &Make<BlockingRead>}, {"HeldMutex", &Make<HeldMutex>}};

// Runs a root on an OS thread of its own, in which a thread called "holder" holds a carrier beside `others`. It is the
// `number`-th that does so.
class Held {
 public:
  Held(Runtime& runtime, Holder& holder, std::function<void(AwaitAll&)> others = nullptr, int number = 1)
      : holder_(holder), others_(std::move(others)), runs_([this, &runtime] { runtime.Run(Root(*this)); }) {
    Await(holder_.begun);
    AwaitRunning(runtime, number);
  }
  ~Held() {
    if (runs_.joinable()) End();
  }
  void End() {
    holder_.Release();
    runs_.join();
  }
  uint64_t thread() const { return thread_; }

 private:
  static Task<void> Root(Held& held) {
    AwaitAll scope;
    if (held.others_ != nullptr) held.others_(scope);
    scope.Fork(
        [&held]() -> Task<void> {
          held.thread_ = VirtualThread::Current().id();
          held.holder_.Hold();
          co_return;
        },
        {.name = "holder"});
    (co_await scope.Join()).IgnoreFailures();
  }

  Holder& holder_;
  const std::function<void(AwaitAll&)> others_;
  std::atomic<uint64_t> thread_{0};
  std::thread runs_;
};

TEST(WatchdogTest, AHoldIsReportedOnceWithItsThreadAndItsStack) {
  for (const Way& way : kWays) {
    SCOPED_TRACE(way.name);
    for (const int carriers : {1, 2, 4}) {
      Watched watched({.parallelism = carriers});
      const std::unique_ptr<Holder> holder = way.make();
      Held held(*watched.runtime, *holder);
      watched.LookAfter(0);
      watched.LookAfter(1);  // from here on the time counts
      watched.LookAfter(1);
      EXPECT_TRUE(watched.reports.empty()) << "it is not late";
      watched.LookAfter(2);
      ASSERT_EQ(watched.reports.size(), 1u);
      const Reported& report = watched.reports[0];
      EXPECT_EQ(report.thread, held.thread());
      EXPECT_EQ(report.name, "holder");
      EXPECT_LE(report.held, absl::Hours(3));
      EXPECT_GT(report.held, kThreshold);
      EXPECT_GT(report.frames, 3u);
      EXPECT_NE(report.text.find(std::string(way.name) + "::Hold()"), std::string::npos) << report.text;
      EXPECT_NE(report.text.find(",holder] has held carrier"), std::string::npos) << report.text;
      for (int i = 0; i < 5; ++i) watched.LookAfter(10);
      EXPECT_EQ(watched.reports.size(), 1u) << "once for each hold";
      EXPECT_EQ(watched.runtime->Stats().held_carriers, 1);
      held.End();
      AwaitRunning(*watched.runtime, 0);
      watched.LookUntilReported();
      EXPECT_EQ(watched.reports.size(), 1u);
      // And the next one.
      const std::unique_ptr<Holder> second = way.make();
      Held again(*watched.runtime, *second);
      watched.LookUntilReported();
      EXPECT_EQ(watched.reports.size(), 2u);
    }
  }
}

Task<void> HoldOneAfterTheOther(Loop& first, Loop& next) {
  AwaitAll scope;
  for (Loop* const loop : {&next, &first}) {  // the last one begins in its owner's place
    scope.Fork([loop]() -> Task<void> {
      loop->Hold();
      co_return;
    });
  }
  (co_await scope.Join()).IgnoreFailures();
}

TEST(WatchdogTest, AHoldThatIsOverWhenItsStackIsAskedForNamesNobodyElse) {
  Watched watched({.parallelism = 1});
  Loop first, next;
  std::thread runs([&] { watched.runtime->Run(HoldOneAfterTheOther(first, next)); });
  Await(first.begun);
  watched.LookAfter(0);
  watched.LookAfter(1);
  Watched::at_use = [&] {
    first.Release();
    Await(next.begun);
  };
  watched.LookAfter(3);
  ASSERT_EQ(watched.reports.size(), 1u);
  EXPECT_EQ(watched.reports[0].held, absl::Hours(3));
  EXPECT_EQ(watched.reports[0].thread, 0u);
  EXPECT_EQ(watched.reports[0].frames, 0u);
  next.Release();
  runs.join();
}

// The first of its tasks to leave it holds the carrier then. The task's thread is gone by that time.
class HeldByTheLeaver final : public VirtualThreadPerTaskExecutor {
 public:
  explicit HeldByTheLeaver(Holder& holder) : holder_(&holder) {}
  ~HeldByTheLeaver() override { ShutDownAndWait(where()); }

 private:
  void Left() noexcept override {
    if (Holder* const holder = std::exchange(holder_, nullptr)) holder->Hold();
    VirtualThreadPerTaskExecutor::Left();
  }

  Holder* holder_;
};

Task<void> SubmitOne(Holder& holder, Event& over) {
  HeldByTheLeaver executor(holder);
  executor.Submit([] {});
  co_await over.Wait();
  co_await executor.Close();
}

TEST(WatchdogTest, AHoldOfWhatAThreadLeavesToDoNamesNoThreadThatIsGone) {
  Watched watched({.parallelism = 1});
  Loop loop;
  Event over;
  std::thread runs([&] { watched.runtime->Run(SubmitOne(loop, over)); });
  Await(loop.begun);
  AwaitRunning(*watched.runtime, 1);
  watched.LookUntilReported();
  EXPECT_EQ(watched.reports.size(), 1u);
  for (const Reported& report : watched.reports) {
    EXPECT_EQ(report.thread, 0u);
    EXPECT_GT(report.frames, 3u);
  }
  loop.Release();
  over.Set();
  runs.join();
}

TEST(WatchdogTest, WithoutAHandlerAHoldIsCounted) {
  Watched watched({.parallelism = 1}, /*with_handler=*/false);
  Loop loop;
  Held held(*watched.runtime, loop);
  watched.LookUntilReported();
  EXPECT_EQ(watched.runtime->Stats().held_carriers, 1);
}

TEST(WatchdogTest, SeveralCarriersMayBeHeldAtOnce) {
  Watched watched({.parallelism = 2, .max_pool_size = 2});
  Loop first, second;
  Held one(*watched.runtime, first), other(*watched.runtime, second, nullptr, 2);
  watched.LookUntilReported();
  ASSERT_EQ(watched.reports.size(), 2u);
  EXPECT_NE(watched.reports[0].thread, watched.reports[1].thread);
  EXPECT_NE(watched.reports[0].carrier, watched.reports[1].carrier);
}

TEST(WatchdogTest, AWaitForAProcessorIsNoHoldAlsoWhileItGoesOn) {
  Watched watched({.parallelism = 1});
  Loop loop;
  Held held(*watched.runtime, loop);
  watched.LookAfter(1);
  watched.LookAfter(1);  // from here on the time counts
  for (int round = 0; round < 3; ++round) {
    for (int look = 0; look < 5; ++look) watched.PassAndLook(10);
    Watched::use.waited_ns += 50 * kHourNanos;  // the kernel counts it now
    Watched::use.ran_ns += kHourNanos / 10;
    watched.PassAndLook(0);
  }
  EXPECT_TRUE(watched.reports.empty()) << watched.reports[0].text;
  watched.LookAfter(3);
  ASSERT_EQ(watched.reports.size(), 1u);
  EXPECT_EQ(watched.reports[0].held, 3.3 * absl::Hours(1));
}

TEST(WatchdogTest, WhatBlocksIsHeldForTheTimeWithoutItsWaitsForAProcessor) {
  Watched watched({.parallelism = 1});
  BlockingRead blocking;
  Held held(*watched.runtime, blocking);
  watched.LookAfter(1);
  watched.LookAfter(1);
  Watched::use.runnable = false;
  Watched::use.waited_ns += 9 * kHourNanos;
  watched.PassAndLook(10);
  EXPECT_TRUE(watched.reports.empty());
  watched.PassAndLook(3);
  ASSERT_EQ(watched.reports.size(), 1u);
  EXPECT_EQ(watched.reports[0].held, absl::Hours(4));
}

TEST(WatchdogTest, WhatTheKernelDoesNotTellForAMomentIsNoHoldOfAllThatWas) {
  Watched watched({.parallelism = 1});
  Loop loop;
  Watched::use = {.ran_ns = 100 * kHourNanos, .waited_ns = 100 * kHourNanos, .runnable = true};
  Held held(*watched.runtime, loop);
  watched.LookAfter(1);
  watched.LookAfter(1);
  for (const bool knows : {false, true, false, true}) {
    Watched::knows = knows;
    watched.PassAndLook(0);
  }
  EXPECT_TRUE(watched.reports.empty()) << watched.reports[0].text;
  // Where it never tells, all the time counts.
  Watched::knows = false;
  watched.PassAndLook(2);
  ASSERT_EQ(watched.reports.size(), 1u);
  EXPECT_EQ(watched.reports[0].held, absl::Hours(2));
}

TEST(WatchdogTest, AThreadThatGoesOnHoldsNothing) {
  Watched watched({.parallelism = 1});
  std::atomic<bool> stop{false};
  std::atomic<int64_t> rounds{0};
  std::thread runs([&] {
    watched.runtime->Run([](auto& stopped, auto& count) -> Task<void> {
      while (!stopped) {
        co_await Yield();
        ++count;
      }
    }(stop, rounds));
  });
  for (int i = 0; i < 20; ++i) {
    // It has been mounted anew, so often that the carrier has counted that.
    for (const int64_t seen = rounds; rounds < seen + 1000;) sched_yield();
    watched.LookAfter(5);
  }
  stop = true;
  runs.join();
  EXPECT_TRUE(watched.reports.empty());
  EXPECT_EQ(watched.runtime->Stats().held_carriers, 0);
}

// ---- Spare carriers.

TEST(WatchdogTest, OthersRunOnASpareCarrierWhichRetiresAfterwards) {
  Watched watched({.parallelism = 1, .min_runnable = 0});
  internal::RuntimeCore& core = watched.runtime->core();
  for (int hold = 0; hold < 3; ++hold) {
    std::atomic<bool> ran{false};
    Loop loop;
    Held held(*watched.runtime, loop, [&ran](AwaitAll& scope) {
      scope.Fork([&ran]() -> Task<void> {
        co_await Yield();  // the holder comes first
        ran = true;
      });
    });
    EXPECT_EQ(watched.runtime->Stats().carriers, hold == 0 ? 1 : 2);
    EXPECT_FALSE(ran);
    watched.LookUntilReported();
    Await(ran);
    EXPECT_EQ(watched.runtime->Stats().carriers, 2);
    EXPECT_TRUE(core.carriers.MayRun(core.carrier(1)));
    held.End();
    AwaitRunning(*watched.runtime, 0);
    watched.LookAfter(1);
    EXPECT_FALSE(core.carriers.MayRun(core.carrier(1))) << "it retires";
    while (!core.carrier(1).duties.asleep.load(std::memory_order_relaxed)) sched_yield();  // it takes nothing any more
    // The runtime goes on with those that it is to have.
    watched.runtime->Run([]() -> Task<void> { co_await Yield(); }());
  }
}

TEST(WatchdogTest, TheTimersOfAHeldCarrierFire) {
  Watched watched({.parallelism = 1, .min_runnable = 0});
  std::atomic<bool> woken{false};
  Loop loop;
  Held held(*watched.runtime, loop, [&woken](AwaitAll& scope) {
    scope.Fork([&woken]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(1));
      woken = true;
    });
  });
  watched.LookUntilReported();
  Await(woken);
}

TEST(WatchdogTest, ThereAreNoMoreCarriersThanAllowedAndNoneWithoutWork) {
  {
    Watched watched({.parallelism = 1, .max_pool_size = 1});
    Loop loop;
    Held held(*watched.runtime, loop, [](AwaitAll& scope) { scope.Fork([]() -> Task<void> { co_await Yield(); }); });
    watched.LookUntilReported();
    EXPECT_EQ(watched.runtime->Stats().carriers, 1);
    EXPECT_EQ(watched.reports.size(), 1u);
  }
  {
    Watched watched({.parallelism = 1});
    Loop loop;
    Held held(*watched.runtime, loop);
    watched.LookUntilReported();
    EXPECT_EQ(watched.runtime->Stats().carriers, 1);
    EXPECT_EQ(watched.reports.size(), 1u);
  }
}

// ---- Memory.

TEST(WatchdogTest, TheMemoryOfFramesGoesBack) {
  constexpr int kThreads = 40'000;  // a control block takes 144 bytes or more
  Watched watched({.parallelism = 2});
  const int64_t before = internal::FrameCacheBytes();
  int64_t peak = 0;
  for (int round = 0; round < 2; ++round) {
    watched.runtime->Run([](int64_t& most) -> Task<void> {
      Event go;
      AwaitAll scope;
      for (int i = 0; i < kThreads; ++i) scope.Fork([&go]() -> Task<void> { co_await go.Wait(); });
      co_await Yield();
      most = internal::FrameCacheBytes();
      go.Set();
      (co_await scope.Join()).IgnoreFailures();
    }(peak));
    EXPECT_GT(peak, before + int64_t{4} * 1024 * 1024);
    // A carrier puts what its lists hold into the pool when it next wakes, so it may take some steps.
    while (internal::FrameCacheBytes() > before + int64_t{2} * 1024 * 1024) {
      MemoryReturn memory(watched.runtime->core());
      while (memory.Step()) sched_yield();
    }
  }
}

constexpr int64_t kMebibyte = int64_t{1024} * 1024;

// A thread that parks, with a frame that is too large for a slab.
Task<void> WaitInALargeFrame(Event& go) {
  char kept[8192];
  kept[0] = 1;
  co_await go.Wait();
  EXPECT_EQ(kept[0], 1);
}

// Forks so many threads, each of which waits for one of the events, and sets the first one.
Task<void> Burst(int threads, int of_the_second, Event& first, Event& second) {
  AwaitAll burst;
  for (int i = 0; i < threads; ++i) {
    Event& go = i % of_the_second == 0 ? second : first;
    burst.Fork([&go]() -> Task<void> { co_await go.Wait(); });
  }
  co_await Yield();
  first.Set();
  (co_await burst.Join()).IgnoreFailures();
}

TEST(WatchdogTest, TheMemoryOfFramesGoesBackWhileLargeFramesLive) {
  Watched watched({.parallelism = 2});
  Event stay, go;
  std::atomic<bool> over{false};
  const int64_t before = internal::FrameCacheBytes();
  std::thread runs([&] {
    watched.runtime->Run([](Event& stays, Event& goes, std::atomic<bool>& is_over) -> Task<void> {
      AwaitAll scope;
      for (int i = 0; i < 4'000; ++i) scope.Fork(WaitInALargeFrame(stays));
      co_await Burst(40'000, 40'000, goes, goes);
      is_over = true;
      (co_await scope.Join()).IgnoreFailures();
    }(stay, go, over));
  });
  Await(over);
  while (internal::FrameCacheBytes() > before + 4 * kMebibyte) {
    MemoryReturn memory(watched.runtime->core());
    while (memory.Step()) sched_yield();
  }
  EXPECT_GT(internal::LiveFrameBytes(), 30 * kMebibyte);
  stay.Set();
  runs.join();
}

// A burst that has just ended may come again, and while it ends a look at all that is free would be for little.
TEST(WatchdogTest, MemoryGoesBackWhenItHasBeenFreeForAStep) {
  Watched watched({.parallelism = 2});
  MemoryReturn memory(watched.runtime->core());
  while (memory.Step()) sched_yield();
  const int64_t before = internal::FrameCacheBytes();
  Event go;
  watched.runtime->Run(Burst(40'000, 40'000, go, go));
  EXPECT_TRUE(memory.Step());
  EXPECT_GT(internal::FrameCacheBytes(), before + 4 * kMebibyte);
  while (internal::FrameCacheBytes() > before + 2 * kMebibyte) {
    MemoryReturn later(watched.runtime->core());
    while (later.Step()) sched_yield();
  }
}

TEST(WatchdogTest, MemoryThatWasGivenUpGoesBackWhenItsLastFramesDo) {
  Watched watched({.parallelism = 2});
  Event first, second;
  const int64_t before = internal::FrameCacheBytes();
  std::thread runs([&] { watched.runtime->Run(Burst(40'000, 100, first, second)); });
  // Those that are left are in all slabs.
  while (!first.IsSet() || watched.runtime->Stats().threads_alive > 401) sched_yield();
  MemoryReturn memory(watched.runtime->core());
  while (memory.Step()) sched_yield();
  const int64_t given_up_at = internal::FrameCacheBytes();
  EXPECT_GT(given_up_at, before + 4 * kMebibyte);
  second.Set();
  runs.join();
  while (internal::LiveFrames() > 100) sched_yield();
  // A carrier gives back what it keeps when it next sleeps.
  while (internal::FrameCacheBytes() >= given_up_at) {
    memory.Step();
    sched_yield();
  }
}

// Also if the caches never hold the same amount twice.
TEST(WatchdogTest, MemoryThatCannotGoBackIsGivenUpWhateverElseIsInUse) {
  Watched watched({.parallelism = 2});
  Event first, second;
  std::thread runs([&] { watched.runtime->Run(Burst(40'000, 100, first, second)); });
  while (!first.IsSet() || watched.runtime->Stats().threads_alive > 401) sched_yield();
  MemoryReturn memory(watched.runtime->core());
  while (memory.Step()) sched_yield();
  const uint32_t asked = watched.runtime->core().calms;
  std::vector<void*> more;
  for (int step = 0; step < 20; ++step) {
    const int64_t held = internal::FrameCacheBytes();
    while (internal::FrameCacheBytes() == held) more.push_back(internal::AllocateFrame(3'000));
    memory.Step();
  }
  EXPECT_LT(watched.runtime->core().calms - asked, 10) << "carriers are asked for what they have";
  for (void* frame : more) internal::FreeFrame(frame, 3'000);
  second.Set();
  runs.join();
}

// ---- The real one.

TEST(WatchdogTest, TheRuntimeLooksByItself) {
  for (const int carriers : {1, 2}) {
    std::atomic<uint64_t> reported{0};
    const auto runtime = Runtime::Create({.parallelism = carriers,
                                          .held_carrier_threshold = absl::Milliseconds(1),
                                          .on_held_carrier = [&](const HeldCarrier& held) { reported = held.thread; }})
                             .value();
    // Also after it has slept.
    for (int hold = 0; hold < 3; ++hold) {
      reported = 0;
      Loop loop;
      Held held(*runtime, loop);
      while (reported != held.thread()) sched_yield();
    }
  }
}

TEST(WatchdogDeathTest, AVariablePrintsHeldCarriers) {
  EXPECT_EXIT(
      {
        setenv("WEFT_TRACE_PINNED", "1", 1);
        std::atomic<bool> told{false};
        RuntimeOptions options;
        options.parallelism = 1;
        options.held_carrier_threshold = absl::Milliseconds(1);
        options.on_held_carrier = [&](const HeldCarrier& held) { told = told || held.name == "holder"; };
        const auto runtime = Runtime::Create(options).value();
        Loop loop;
        Held held(*runtime, loop);
        Await(told);
        ::_exit(3);
      },
      ::testing::ExitedWithCode(3), "weft: VirtualThread\\[#[0-9]+,holder\\] has held carrier 0 for ");
}

}  // namespace
}  // namespace weft::testing
