// Runtimes. Goal: the sentences of runtime.h, virtual_thread.h, time.h and scheduling_observer.h, and the bounds on how
// long anything that can run has to wait. Method: real carriers, counted by an observer; environment variables in death
// tests.
#include "weft/runtime.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/os/cpu.h"
#include "lib/os/syscalls.h"
#include "lib/runtime/runtime_core.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Forever;
using testing::Introduction;

class RuntimeTest : public testing::OnBoth {};
WEFT_ON_BOTH(RuntimeTest);

Task<int> Give(int value) { co_return value; }
Task<absl::Status> End(absl::Status status) { co_return status; }

// ---- Run and RunMain.

TEST_P(RuntimeTest, RunGivesTheResultOfTheTask) {
  OnEveryRuntime([](Runtime& runtime) {
    EXPECT_EQ(runtime.Run(Give(4)), 4);
    EXPECT_EQ(runtime.Run(End(absl::NotFoundError("x"))), absl::NotFoundError("x"));
    const std::unique_ptr<int> moved =
        runtime.Run([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }());
    EXPECT_EQ(*moved, 5);
    static int target = 0;
    EXPECT_EQ(&runtime.Run([]() -> Task<int&> { co_return target; }()), &target);
    runtime.Run([]() -> Task<void> { co_return; }());
    EXPECT_EQ(*runtime.TryRun(Give(6)), 6);
  });
}

TEST(RunTest, TheDefaultRuntimeStartsOnFirstUseAndAgainAfterAStop) {
  EXPECT_EQ(weft::Run(Give(1)), 1);
  Runtime::StopDefault();
  EXPECT_EQ(weft::Run(Give(2)), 2);
  EXPECT_EQ(Runtime::Default().Run(Give(3)), 3);
}

TEST(RunTest, ManyOsThreadsRunAtOnce) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&runtime, &sum, i] {
      for (int n = 0; n < 50; ++n) {
        sum += runtime->Run([](int value) -> Task<int> {
          co_await Yield();
          co_return value;
        }(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 50 * 28);
}

TEST(RunMainTest, TheExitCodeSaysWhatBecameOfIt) {
  EXPECT_EQ(RunMain(End(absl::OkStatus())), 0);
  EXPECT_EQ(RunMain(Give(7)), 7);
  EXPECT_EQ(RunMain([]() -> Task<void> { co_return; }()), 0);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(RunMain(End(absl::UnavailableError("no server"))), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "UNAVAILABLE: no server\n");
}

// ---- Current.

TEST_P(RuntimeTest, TheCurrentRuntimeIsThatOfTheThreadOrOfTheOneThatAwaitsTheCall) {
  EXPECT_EQ(&Runtime::Current(), &Runtime::Default());
  OnEveryRuntime([](Runtime& runtime) {
    runtime.Run([](Runtime& ours) -> Task<void> {
      EXPECT_EQ(&Runtime::Current(), &ours);
      EXPECT_TRUE(*co_await Blocking([&ours] {
        return &Runtime::Current() == &ours && *Runtime::Current().TryRun([&ours]() -> Task<bool> {
          co_await Sleep(absl::Milliseconds(1));
          co_return &Runtime::Current() == &ours;
        }());
      }));
    }(runtime));
  });
}

TEST(RunMainTest, AnOsThreadMayRunTasksOnItsRuntime) {
  const int started = RunMain(
      []() -> Task<int> {
        Runtime& runtime = Runtime::Current();
        EXPECT_EQ(runtime.parallelism(), 3);
        std::thread([&runtime] { EXPECT_EQ(runtime.Run(Give(5)), 5); }).join();
        co_return static_cast<int>(runtime.Stats().threads_started);
      }(),
      {.parallelism = 3});
  EXPECT_EQ(started, 2);
}

TEST_P(RuntimeTest, ItsThreadsAreDescribed) {
  OnEveryRuntime([](Runtime& runtime) {
    runtime.Run([]() -> Task<void> {
      Introduction waiting;
      {
        AwaitAll scope;
        scope.Fork([&waiting]() -> Task<void> { co_await Forever(waiting); }, {.name = "waits"});
        co_await waiting.AwaitParked();
        const std::string text = Runtime::Current().DescribeThreads();
        EXPECT_NE(text.find(",waits]"), std::string::npos) << text;
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
      }
    }());
  });
}

TEST(RunDeathTest, RunOnACarrier) {
  EXPECT_DEATH(static_cast<void>(RunMain([]() -> Task<int> { co_return weft::Run(Give(1)); }())),
               "Run\\(\\) on a carrier would hold it until the task has ended; co_await the task, or Fork it");
}

TEST(RunDeathTest, ATaskIsRunTwice) {
  EXPECT_DEATH(
      {
        Task<int> task = Give(1);
        weft::Run(std::move(task));
        weft::Run(std::move(task));
      },
      "Run\\(\\) of a Task that was moved from or awaited before; a Task is awaited once");
}

TEST(RunDeathTest, AWaitOutsideAVirtualThread) {
  EXPECT_DEATH(Yield().await_ready(),
               "co_await of a wait outside a virtual thread; start one with weft::Run\\(task\\)");
  EXPECT_DEATH(VirtualThread::Current(), "VirtualThread::Current\\(\\) outside a virtual thread");
  EXPECT_FALSE(VirtualThread::HasCurrent());
}

// ---- The end of a runtime.

// Also a regression: a caller of Run() was not waited for.
//   1. caller: starts its root
//   2. main: destroys the runtime, which ends the root
//   3. caller: begins to wait for that, on a host that is gone
TEST(RuntimeEndTest, AsksTheThreadsThatRunToEndAndWaitsForThem) {
  for (int round = 0; round < 20; ++round) {
    std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1 + round % 2});
    std::vector<std::thread> callers;
    std::atomic<int> cancelled{0};
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([core = runtime.get(), &cancelled] {
        const absl::Status status = core->TryRun([]() -> Task<void> {
          AwaitAll scope;
          scope.Fork(Forever());
          scope.Fork([]() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); });
          (co_await scope.Join()).IgnoreFailures();
        }());
        EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
        EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kRuntimeExit);
        ++cancelled;
      });
    }
    while (runtime->core().Counts().waiters < 12) std::this_thread::yield();
    runtime.reset();
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(cancelled, 4);
  }
}

TEST(RuntimeEndTest, WaitsForWhatIsShielded) {
  std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1});
  std::atomic<bool> done{false};
  std::thread caller([core = runtime.get(), &done] {
    const absl::Status status = core->TryRun([](std::atomic<bool>& flag) -> Task<void> {
      Event asked;
      StopOnCancel stop;
      const std::stop_callback tell(stop.token(), [&asked] { asked.Set(); });
      co_await Shield([](Event& asked, std::atomic<bool>& inner) -> Task<void> {
        co_await asked.Wait();
        co_await Sleep(absl::Milliseconds(5));
        inner = true;
      }(asked, flag));
      co_await Yield();
      ADD_FAILURE();
    }(done));
    EXPECT_EQ(ReasonOf(status).kind, CancelReason::Kind::kRuntimeExit);
  });
  while (runtime->core().Counts().waiters < 1) std::this_thread::yield();
  runtime.reset();
  EXPECT_TRUE(done);
  caller.join();
}

// ---- Options.

TEST(RuntimeOptionsTest, AnOptionOutOfRangeIsAnErrorThatNamesIt) {
  EXPECT_EQ(Runtime::Create({.parallelism = -1}).status(),
            absl::InvalidArgumentError("RuntimeOptions::parallelism is -1; it must be from 1 to 1024"));
  EXPECT_EQ(Runtime::Create({.parallelism = 1025}).status(),
            absl::InvalidArgumentError("RuntimeOptions::parallelism is 1025; it must be from 1 to 1024"));
  EXPECT_EQ(Runtime::Create({.parallelism = 1, .max_pool_size = 32768}).status(),
            absl::InvalidArgumentError("RuntimeOptions::max_pool_size is 32768; it must be from 1 to 32767"));
  EXPECT_EQ(Runtime::Create({.parallelism = 1, .min_runnable = -2}).status(),
            absl::InvalidArgumentError("RuntimeOptions::min_runnable is -2; it must be from 0 to 1024"));
}

// Both ends of each range are in it, and one beyond is not. (With a pool of one carrier, which caps the parallelism.)
TEST(RuntimeOptionsTest, BothEndsOfARangeAreInIt) {
  struct Range {
    int RuntimeOptions::*option;
    int low, high;
    int unset;  // what stands for the default, and is no value
  };
  constexpr Range kRanges[] = {
      {&RuntimeOptions::parallelism, 1, 1024, 0},
      {&RuntimeOptions::max_pool_size, 1, 32767, 0},
      {&RuntimeOptions::min_runnable, 0, 1024, -1},
      {&RuntimeOptions::huge_pages, 0, 1, -1},
  };
  for (const auto& [option, low, high, unset] : kRanges) {
    for (const auto& [value, right] :
         {std::pair(low - 1, low - 1 == unset), {low, true}, {high, true}, {high + 1, false}}) {
      RuntimeOptions options = {.parallelism = 1, .max_pool_size = 1};
      options.*option = value;
      EXPECT_EQ(Runtime::Create(options).ok(), right) << value << ", from " << low << " to " << high;
    }
  }
}

// Zero is a patience, and no default; what is negative leaves it to the variable.
TEST(RuntimeOptionsTest, TheDrainPatienceIsWhatTheOptionSaysOrElseTheVariable) {
  constexpr int64_t kMillisecondNs = 1'000'000;
  struct Row {
    const char* variable;
    absl::Duration option;
    int64_t expected_ns;
  };
  for (const auto& [variable, option, expected_ns] : {
           Row{nullptr, absl::Milliseconds(-1), 20 * kMillisecondNs}, Row{nullptr, absl::ZeroDuration(), 0},
           Row{nullptr, absl::Nanoseconds(1), 1}, Row{nullptr, absl::InfiniteDuration(), INT64_MAX},
           Row{"7", absl::Milliseconds(-1), 7 * kMillisecondNs}, Row{"0", absl::Nanoseconds(-1), 0},
           Row{"7", absl::ZeroDuration(), 0}, Row{"7", absl::Milliseconds(3), 3 * kMillisecondNs}}) {
    if (variable != nullptr) setenv("WEFT_DRAIN_PATIENCE_MS", variable, 1);
    const auto runtime = Runtime::Create({.parallelism = 1, .drain_patience = option});
    unsetenv("WEFT_DRAIN_PATIENCE_MS");
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    EXPECT_EQ((*runtime)->core().config.drain_patience_ns, expected_ns) << option;
  }
}

TEST(RuntimeOptionsTest, TheThresholdOfHeldCarriersIsWhatTheOptionSaysOrElseTheVariable) {
  constexpr int64_t kMillisecondNs = 1'000'000;
  struct Row {
    const char* variable;
    absl::Duration option;
    int64_t expected_ns;
  };
  for (const auto& [variable, option, expected_ns] :
       {Row{nullptr, absl::Milliseconds(-1), 20 * kMillisecondNs}, Row{nullptr, absl::ZeroDuration(), 0},
        Row{nullptr, absl::InfiniteDuration(), INT64_MAX}, Row{"7", absl::Milliseconds(-1), 7 * kMillisecondNs},
        Row{"0", absl::Nanoseconds(-1), 0}, Row{"7", absl::ZeroDuration(), 0}}) {
    if (variable != nullptr) setenv("WEFT_HELD_CARRIER_THRESHOLD_MS", variable, 1);
    const auto runtime = Runtime::Create({.parallelism = 1, .held_carrier_threshold = option});
    unsetenv("WEFT_HELD_CARRIER_THRESHOLD_MS");
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    EXPECT_EQ((*runtime)->core().config.held_threshold_ns, expected_ns) << option;
  }
}

TEST(RuntimeOptionsTest, TheLimitOfQueuedCallsIsWhatTheOptionSaysOrElseTheVariable) {
  for (const auto& [variable, option, expected] : {std::tuple<const char*, int, int64_t>(nullptr, 0, 1'048'576),
                                                   {nullptr, 3, 3},
                                                   {"7", 0, 7},
                                                   {"7", 3, 3}}) {
    if (variable != nullptr) setenv("WEFT_MAX_QUEUED_CALLS", variable, 1);
    const auto runtime = Runtime::Create({.parallelism = 1, .max_queued_calls = option});
    unsetenv("WEFT_MAX_QUEUED_CALLS");
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    EXPECT_EQ((*runtime)->core().config.max_queued_calls, expected);
  }
  EXPECT_EQ(Runtime::Create({.parallelism = 1, .max_queued_calls = -1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RuntimeOptionsTest, TheDefaultParallelismMindsTheQuotaOfTheContainer) {
  const std::string root = ::testing::TempDir() + "/container";
  for (const char* directory : {"/proc/self", "/sys/fs/cgroup"}) std::filesystem::create_directories(root + directory);
  std::ofstream(root + "/proc/self/mountinfo") << "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  std::ofstream(root + "/proc/self/cgroup") << "0::/\n";
  std::ofstream(root + "/sys/fs/cgroup/cpu.max") << "80000 100000\n";
  const char* const before = std::exchange(internal::g_cpu_root, root.c_str());
  EXPECT_EQ(Runtime::Create().value()->parallelism(), 1);
  EXPECT_EQ(Runtime::Create({.parallelism = 3}).value()->parallelism(), 3) << "the program knows better";
  internal::g_cpu_root = before;
}

TEST(RuntimeOptionsTest, ThePoolSizeCapsTheParallelism) {
  const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 4, .max_pool_size = 2});
  EXPECT_EQ(runtime->parallelism(), 2);
}

void CreateUnder(const char* name, const char* value, RuntimeOptions options = {}) {
  setenv(name, value, 1);
  const auto runtime = Runtime::Create(options);
  exit(runtime.ok() ? 100 + (*runtime)->parallelism() : 99);
}

TEST(RuntimeOptionsDeathTest, AVariableCountsWhereTheOptionIsLeftAtItsDefault) {
  const auto exited = [](int code) { return ::testing::ExitedWithCode(code); };
  EXPECT_EXIT(CreateUnder("WEFT_PARALLELISM", "3"), exited(103), "");
  EXPECT_EXIT(CreateUnder("WEFT_PARALLELISM", "3", {.parallelism = 2}), exited(102), "");
  EXPECT_EXIT(CreateUnder("WEFT_MAX_POOL_SIZE", "1", {.parallelism = 2}), exited(101), "");
  EXPECT_EXIT(CreateUnder("WEFT_IO", "epoll", {.parallelism = 1}), exited(101), "");
}

TEST(RuntimeOptionsDeathTest, AnInvalidVariableEndsTheProgramWithNameValueAndRange) {
  const auto failed = ::testing::ExitedWithCode(EXIT_FAILURE);
  for (const char* value : {"0", "-1", "1025", "many", "", "2x", "99999999999"}) {
    EXPECT_EXIT(CreateUnder("WEFT_PARALLELISM", value), failed,
                absl::StrCat("weft: the environment variable WEFT_PARALLELISM is \"", value,
                             "\"; it must be a whole number from 1 to 1024\n"));
  }
  EXPECT_EXIT(CreateUnder("WEFT_MAX_POOL_SIZE", "32768"), failed,
              "WEFT_MAX_POOL_SIZE is \"32768\"; it must be a whole number from 1 to 32767\n");
  EXPECT_EXIT(CreateUnder("WEFT_MIN_RUNNABLE", "-1"), failed,
              "WEFT_MIN_RUNNABLE is \"-1\"; it must be a whole number from 0 to 1024\n");
  EXPECT_EXIT(CreateUnder("WEFT_TRACE_THREAD_LOCALS", "yes"), failed,
              "WEFT_TRACE_THREAD_LOCALS is \"yes\"; it must be a whole number from 0 to 1\n");
  EXPECT_EXIT(CreateUnder("WEFT_IO", "kqueue"), failed,
              "weft: the environment variable WEFT_IO is \"kqueue\"; it must be auto, uring or epoll\n");
  for (const auto& [name, low, high] : {std::tuple("WEFT_PARALLELISM", 1, 1024),
                                        {"WEFT_MAX_POOL_SIZE", 1, 32767},
                                        {"WEFT_MIN_RUNNABLE", 0, 1024},
                                        {"WEFT_DRAIN_PATIENCE_MS", 0, 3'600'000},
                                        {"WEFT_HELD_CARRIER_THRESHOLD_MS", 0, 3'600'000},
                                        {"WEFT_HUGE_PAGES", 0, 1},
                                        {"WEFT_TRACE_PINNED", 0, 1},
                                        {"WEFT_TRACE_THREAD_LOCALS", 0, 1}}) {
    const RuntimeOptions one = {.parallelism = name == std::string_view("WEFT_PARALLELISM") ? 0 : 1,
                                .max_pool_size = name == std::string_view("WEFT_MAX_POOL_SIZE") ? 0 : 1};
    for (const int value : {low, high}) {
      EXPECT_EXIT(CreateUnder(name, absl::StrCat(value).c_str(), one), ::testing::ExitedWithCode(101), "")
          << name << "=" << value;
    }
    for (const int value : {low - 1, high + 1}) {
      EXPECT_EXIT(CreateUnder(name, absl::StrCat(value).c_str(), one), failed,
                  absl::StrCat("variable ", name, " is \"", value, "\"; it must be a whole number from ", low, " to ",
                               high, "\n"));
    }
  }
  // Checked even where the program does not leave it to the variable.
  EXPECT_EXIT(CreateUnder("WEFT_PARALLELISM", "none", {.parallelism = 1}), failed, "WEFT_PARALLELISM is \"none\"");
}

TEST(RuntimeStartTest, WithoutOsThreadsTheStartFailsAndLeavesNothing) {
  for (int64_t first = 1; first <= 4; ++first) {  // three carriers and the watchdog
    internal::ScopedSyscallFault fault(&internal::Syscalls::pthread_create, {.first = first, .error = EAGAIN});
    const auto runtime = Runtime::Create({.parallelism = 3});
    EXPECT_EQ(runtime.status().code(), absl::StatusCode::kResourceExhausted) << runtime.status();
    EXPECT_EQ(ErrnoOf(runtime.status()), EAGAIN);
  }
}

// ---- VirtualThread.

TEST_P(RuntimeTest, AVirtualThreadPrintsItself) {
  Everywhere([]() -> Task<void> {
    const VirtualThread self = VirtualThread::Current();
    EXPECT_TRUE(VirtualThread::HasCurrent());
    EXPECT_EQ(self.state(), VirtualThread::State::kRunnable);
    EXPECT_EQ(self.ToString(), absl::StrCat("VirtualThread[#", self.id(), "]/runnable@carrier-", self.carrier()));
    Introduction waiting, sleeping;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { co_await Forever(waiting); }, {.name = "loader"});
    scope.Fork([&]() -> Task<void> {
      sleeping.Make();
      co_await Sleep(absl::InfiniteDuration());
    });
    const VirtualThread loader = co_await waiting.Await();
    const VirtualThread sleeper = co_await sleeping.Await();
    co_await testing::UntilParked(loader);
    co_await testing::UntilParked(sleeper);
    EXPECT_EQ(loader.name(), "loader");
    EXPECT_EQ(loader.carrier(), -1);
    EXPECT_EQ(loader.ToString(), absl::StrCat("VirtualThread[#", loader.id(), ",loader]/waiting"));
    EXPECT_EQ(sleeper.ToString(), absl::StrCat("VirtualThread[#", sleeper.id(), "]/timed_waiting"));
    EXPECT_FALSE(loader == sleeper);
    co_await scope.Close();
    EXPECT_EQ(loader.state(), VirtualThread::State::kTerminated);
    EXPECT_EQ(loader.ToString(), absl::StrCat("VirtualThread[#", loader.id(), ",loader]/terminated"));
  });
}

TEST_P(RuntimeTest, StatsCountThreads) {
  OnEveryRuntime([](Runtime& runtime) {
    const int64_t before = runtime.Stats().threads_started;
    runtime.Run([](Runtime& mine) -> Task<void> {
      AwaitAll scope;
      Introduction waiting;
      scope.Fork(Forever(waiting));
      co_await waiting.AwaitParked();
      EXPECT_GE(mine.Stats().threads_alive, 2);
      EXPECT_GE(mine.Stats().mounts, 2);
      co_await scope.Close();
    }(runtime));
    EXPECT_EQ(runtime.Stats().threads_started - before, 2);
    EXPECT_GE(runtime.Stats().carriers, runtime.parallelism());
  });
}

// The root is alive at every look. Its children start on its carrier, and end there or on the other one.
TEST(StatsTest, AThreadThatIsAliveIsCountedWhileOthersStartAndEnd) {
  constexpr int kRounds = 500'000;
  const auto runtime = Runtime::Create({.parallelism = 2, .held_carrier_threshold = absl::ZeroDuration()}).value();
  runtime->Run([](Runtime& mine) -> Task<void> {
    int64_t least = INT64_MAX;
    std::atomic<bool> over = false;
    std::thread looker([&] {
      while (!over) least = std::min(least, mine.Stats().threads_alive);
    });
    for (int round = 0; round < kRounds; ++round) (void)co_await All(Give(1), Give(2));
    over = true;
    looker.join();
    EXPECT_GE(least, 1);
  }(*runtime));
}

// ---- Thefts.

// A carrier whose thefts are not worth it sleeps between them: it has not gone for good. The first one is held, so that
// nobody else could run the last child.
TEST(StealTest, ACarrierThatHasStolenInVainComesBack) {
  const auto runtime = Runtime::Create({.parallelism = 2, .held_carrier_threshold = absl::ZeroDuration()}).value();
  runtime->Run([](Runtime& mine) -> Task<void> {
    const int64_t before = mine.Stats().steals;
    while (mine.Stats().steals - before < 200) {
      AwaitAll scope;
      for (int i = 0; i < 100; ++i) scope.Fork(Give(i));
      (co_await scope.Join()).IgnoreFailures();
    }
    AwaitAll scope;
    std::atomic<bool> ran = false;
    scope.Fork([&ran]() -> Task<void> {
      ran.store(true);
      co_return;
    });
    while (!ran.load()) std::this_thread::yield();
    (co_await scope.Join()).IgnoreFailures();
  }(*runtime));
}

// ---- The observer.

class Recorder final : public ext::SchedulingObserver {
 public:
  void OnStart(const ext::ThreadEvent& event) noexcept override { Add(event, 's'); }
  void OnMount(const ext::ThreadEvent& event) noexcept override { Add(event, 'm'); }
  void OnUnmount(const ext::ThreadEvent& event) noexcept override { Add(event, 'u'); }
  void OnEnd(const ext::ThreadEvent& event) noexcept override { Add(event, 'e'); }
  std::map<uint64_t, std::string> events() {
    std::lock_guard guard(mutex_);
    return events_;
  }

 private:
  void Add(const ext::ThreadEvent& event, char what) {
    std::lock_guard guard(mutex_);
    events_[event.thread] += what;
  }
  std::mutex mutex_;
  std::map<uint64_t, std::string> events_;
};

TEST(ObserverTest, AThreadStartsThenMountsAndUnmountsInTurnThenEnds) {
  Recorder recorder;
  {
    const std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2, .observer = &recorder});
    runtime->Run([]() -> Task<void> {
      AwaitAll scope;
      Event event;
      for (int i = 0; i < 20; ++i) {
        scope.Fork([&event, i]() -> Task<void> {
          co_await Yield();
          if (i == 19) event.Set();
          co_await event.Wait();
          AwaitAll dying;
          dying.Fork(Forever());
          co_await Yield();
        });
      }
      (co_await scope.Join()).IgnoreFailures();
    }());
  }
  const auto events = recorder.events();
  EXPECT_EQ(events.size(), 41u);
  for (const auto& [thread, text] : events) {
    ASSERT_GE(text.size(), 4u) << thread << ": " << text;
    EXPECT_EQ(text.front(), 's') << text;
    EXPECT_EQ(text.back(), 'e') << text;
    for (size_t i = 1; i + 1 < text.size(); ++i) EXPECT_EQ(text[i], i % 2 == 1 ? 'm' : 'u') << thread << ": " << text;
  }
}

// ---- Fairness.

// Those of each of two carriers. One of them may stand still: another process has its processor.
class Dispatches final : public ext::SchedulingObserver {
 public:
  using Counts = std::array<int64_t, 2>;

  void OnMount(const ext::ThreadEvent& event) noexcept override {
    counts_.at(static_cast<size_t>(event.carrier)).fetch_add(1, std::memory_order_relaxed);
  }
  Counts Take() const { return {counts_[0].load(), counts_[1].load()}; }

 private:
  std::array<std::atomic<int64_t>, 2> counts_ = {};
};

TEST(FairnessTest, WithHogsThatYieldWhoIsWokenFromOutsideRunsWithin61DispatchesACarrier) {
  for (const int carriers : {1, 2}) {
    Dispatches dispatches;
    const std::unique_ptr<Runtime> runtime = *Runtime::Create(
        {.parallelism = carriers, .held_carrier_threshold = absl::ZeroDuration(), .observer = &dispatches});
    for (int round = 0; round < 5; ++round) {
      Event event;
      std::atomic<bool> go{false};
      Dispatches::Counts injected, resumed;
      std::thread outside([&] {
        while (!go) std::this_thread::yield();
        event.Set();
        injected = dispatches.Take();
      });
      runtime->Run([](auto& waited, auto& started, auto& when, auto& counted) -> Task<void> {
        std::atomic<bool> stop{false};
        AwaitAll scope;
        for (int i = 0; i < 5; ++i) {
          scope.Fork([&stop]() -> Task<void> {
            while (!stop) co_await Yield();
          });
        }
        Introduction waiting;
        scope.Fork([&]() -> Task<void> {
          waiting.Make();
          co_await waited.Wait();
          when = counted.Take();
          stop = true;
        });
        co_await waiting.AwaitParked();
        started = true;
        (co_await scope.Join()).IgnoreFailures();
      }(event, go, resumed, dispatches));
      outside.join();
      int64_t fewest = resumed[0] - injected[0];
      if (carriers == 2) fewest = std::min(fewest, resumed[1] - injected[1]);
      EXPECT_LE(fewest, 61 + 2);
    }
  }
}

// Each does operations that are ready at once, for as long as another thread has not had its turn.
TEST(FairnessTest, OperationsThatAreReadyAtOnceSpendABudgetAndThenYield) {
  for (int kind = 0; kind < 5; ++kind) {
    const std::unique_ptr<Runtime> runtime =
        *Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration()});
    const int turns = runtime->Run([](int which) -> Task<int> {
      bool had_its_turn = false;
      AwaitAll scope;
      scope.Fork([&had_its_turn]() -> Task<void> {
        had_its_turn = true;
        co_return;
      });
      Event event;
      event.Set();
      Semaphore semaphore(1);
      Mutex mutex;
      AwaitAll empty;
      int count = 0;
      for (; !had_its_turn && count < 1000; ++count) {
        switch (which) {
          case 0:
            co_await event.Wait();
            break;
          case 1:
            (co_await semaphore.Acquire()).Release();
            break;
          case 2:
            (co_await mutex.Lock()).Unlock();
            break;
          case 3:
            (co_await empty.Join()).IgnoreFailures();
            break;
          case 4:
            co_await Sleep(absl::ZeroDuration());
            break;
        }
      }
      (co_await scope.Join()).IgnoreFailures();
      co_return count;
    }(kind));
    EXPECT_LE(turns, 64) << "kind " << kind;
  }
}

// ---- Sleep.

TEST_P(RuntimeTest, ASleepNeverEndsEarly) {
  Everywhere([]() -> Task<void> {
    for (const int64_t micros : {1, 50, 262, 263, 1000, 2100}) {
      const MonotonicTime start = MonotonicNow();
      co_await Sleep(absl::Microseconds(micros));
      EXPECT_GE(MonotonicNow() - start, absl::Microseconds(micros));
      if (simulated()) {
        EXPECT_LE(MonotonicNow() - start, absl::Microseconds(micros + 270));
      }
    }
  });
}

TEST_P(RuntimeTest, ASleepOfZeroOrLessYields) {
  Everywhere([]() -> Task<void> {
    const MonotonicTime start = MonotonicNow();
    co_await Sleep(absl::ZeroDuration());
    co_await Sleep(-absl::InfiniteDuration());
    if (simulated()) {
      EXPECT_EQ(MonotonicNow(), start);
    }
  });
}

TEST_P(RuntimeTest, AnInfiniteSleepEndsByCancellation) {
  Everywhere([]() -> Task<void> {
    AwaitAll scope;
    Introduction sleeping;
    auto sleeper = scope.Fork([&sleeping]() -> Task<int> {
      sleeping.Make();
      co_await Sleep(absl::InfiniteDuration());
      co_return 1;
    });
    co_await sleeping.AwaitParked();
    co_await scope.Close();
    EXPECT_EQ(sleeper.state(), Subtask<int>::State::kUnavailable);
  });
}

TEST(SleepTest, ThirtyThousandSleepersWakeInTheOrderOfTheirTimes) {
  testing::Simulation simulation({.carriers = 2});
  simulation.Run([]() -> Task<void> {
    std::atomic<int64_t> last_ms{0};
    std::atomic<int> woken{0};
    AwaitAll scope;
    for (int i = 0; i < 30'000; ++i) {
      scope.Fork([&, i]() -> Task<void> {
        const int64_t ms = 1 + i * int64_t{7919} % 1000;
        co_await Sleep(absl::Milliseconds(ms));
        EXPECT_LE(last_ms, ms);
        last_ms = ms;
        ++woken;
      });
    }
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(woken, 30'000);
  }());
  EXPECT_LE(simulation.now(), absl::Milliseconds(1001));
}

}  // namespace
}  // namespace weft
