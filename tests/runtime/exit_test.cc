// The ends of the world. Goal: exit() ends the process, whoever calls it and whatever runs meanwhile; a runtime that is
// destroyed from within says so. Method: children that end themselves, by a table of who calls exit() and of what
// another OS thread has the default runtime do then; and a table of the places that a runtime may be destroyed from.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "tests/support/child_process.h"
#include "tests/support/on_both.h"
#include "weft/blocking.h"
#include "weft/stop_token.h"
#include "weft/weft.h"

namespace weft {
namespace {

using testing::ChildEnd;
using testing::Forever;
using testing::InChild;

// ---- exit().

// In a child: says what it is, without a buffer.
void Say(const char* word) { [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, word, std::strlen(word)); }

struct SaysThatItEnds {
  ~SaysThatItEnds() { Say("unwound "); }
};

// What another OS thread runs on the default runtime while exit() is called. Each counts up once it is there.
struct Runs {
  const char* name;
  bool ends;  // when it is asked to
  void (*run)(std::atomic<int>& there);

  friend std::ostream& operator<<(std::ostream& out, const Runs& runs) { return out << runs.name; }
};

Task<void> ParksAs(std::atomic<int>& there) {
  const SaysThatItEnds unwound;
  ++there;
  co_await Forever();
}

constexpr Runs kRuns[] = {
    {"Nothing", true, [](std::atomic<int>& there) { ++there; }},
    {"AVoidThatIsParked", true, [](std::atomic<int>& there) { weft::Run(ParksAs(there)); }},
    {"AnIntThatIsParked", true,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<int> {
         co_await ParksAs(counter);
         co_return 1;
       }(there));
     }},
    {"AStatusThatIsParked", true,
     [](std::atomic<int>& there) {
       const absl::Status status = weft::Run([](std::atomic<int>& counter) -> Task<absl::Status> {
         co_await ParksAs(counter);
         co_return absl::OkStatus();
       }(there));
       if (ReasonOf(status).kind == CancelReason::Kind::kRuntimeExit) Say("told ");
     }},
    {"AScopeOfMany", true,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<void> {
         AwaitAll scope;
         for (int i = 0; i < 100; ++i) scope.Fork([]() -> Task<void> { co_await Sleep(absl::InfiniteDuration()); });
         scope.Fork([&counter]() -> Task<void> { co_await ParksAs(counter); });
         (co_await scope.Join()).IgnoreFailures();
       }(there));
     }},
    {"ALoopOfYields", true,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<void> {
         ++counter;
         for (;;) co_await Yield();
       }(there));
     }},
    {"RunAfterRun", true,
     [](std::atomic<int>& there) {
       for (;;) {
         weft::Run([](std::atomic<int>& counter) -> Task<void> {
           ++counter;
           co_await Yield();
         }(there));
       }
     }},
    {"ACleanUpThatTakesTime", true,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<void> {
         co_await Finally(ParksAs(counter), []() -> Task<void> {
           co_await Sleep(absl::Milliseconds(5));
           Say("cleaned up ");
         });
       }(there));
     }},
    {"AShieldWithoutEnd", false,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<void> { co_await Shield(ParksAs(counter)); }(there));
     }},
    {"AComputation", false,
     [](std::atomic<int>& there) {
       weft::Run([](std::atomic<int>& counter) -> Task<void> {
         ++counter;
         for (volatile bool always = true; always;) {
         }
         co_return;
       }(there));
     }},
};

enum class Caller { kOsThread, kVirtualThread, kOtherRuntime };
constexpr const char* kCallerNames[] = {"AnOsThread", "AVirtualThread", "AVirtualThreadOfAnotherRuntime"};

class ExitTest : public ::testing::TestWithParam<std::tuple<Runs, Caller>> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, ExitTest,
                         ::testing::Combine(::testing::ValuesIn(kRuns),
                                            ::testing::Values(Caller::kOsThread, Caller::kVirtualThread,
                                                              Caller::kOtherRuntime)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "By" +
                                  kCallerNames[static_cast<int>(std::get<1>(info.param))];
                         });

Task<void> CallsExit(int code) {
  co_await Yield();
  std::exit(code);
}

TEST_P(ExitTest, EndsTheProcessWithItsCode) {
  const auto& [runs, caller] = GetParam();
  const ChildEnd end = InChild([&runs = runs, caller = caller] {
    if (!runs.ends) internal::g_exit_patience_ns = 20'000'000;
    static std::atomic<int> there{0};
    std::thread other([&runs] { runs.run(there); });
    other.detach();
    while (there == 0) std::this_thread::yield();
    switch (caller) {
      case Caller::kOsThread:
        std::exit(7);
      case Caller::kVirtualThread:
        weft::Run(CallsExit(7));
        break;
      case Caller::kOtherRuntime:
        (*Runtime::Create({.parallelism = 1}))->Run(CallsExit(7));
        break;
    }
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  const std::string name = runs.name;
  if (caller != Caller::kOsThread) {
    EXPECT_EQ(end.errors, "") << "it waits for nobody";
  } else if (!runs.ends) {
    EXPECT_TRUE(
        end.errors.starts_with("weft: exit() waits no longer for virtual threads of the default runtime, which were "
                               "asked to end:\n  VirtualThread[#"))
        << end;
  } else {
    EXPECT_EQ(end.errors.find("weft:"), std::string::npos) << end;
    EXPECT_EQ(end.errors.find("unwound") != std::string::npos,
              name.find("Parked") != std::string::npos || name == "AScopeOfMany" || name == "ACleanUpThatTakesTime")
        << end;
    EXPECT_EQ(end.errors.find("cleaned up") != std::string::npos, name == "ACleanUpThatTakesTime") << end;
  }
}

// A destructor that was to wait for an OS thread of its own, which is in Run(), as many a service has.
TEST(ExitTest, AStaticObjectMayJoinAnOsThreadThatIsInRun) {
  const ChildEnd end = InChild([] {
    struct Service {
      ~Service() { thread.join(); }
      std::thread thread;
    };
    static Service service;
    static std::atomic<bool> there{false};
    service.thread = std::thread([] {
      const absl::Status status = weft::Run([]() -> Task<absl::Status> {
        there = true;
        co_await Forever();
        co_return absl::OkStatus();
      }());
      if (ReasonOf(status).kind == CancelReason::Kind::kRuntimeExit) Say("told");
    });
    while (!there) std::this_thread::yield();
    std::exit(7);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_EQ(end.errors, "told");
}

// While it is started, its lock is held; and the sentence ends the process by exit().
TEST(ExitTest, ADefaultRuntimeThatCannotBeStartedAgainEndsTheProcess) {
  const ChildEnd end = InChild([] {
    weft::Run([]() -> Task<void> { co_return; }());
    Runtime::StopDefault();
    ::setenv("WEFT_PARALLELISM", "many", 1);
    weft::Run([]() -> Task<void> { co_return; }());
  });
  EXPECT_TRUE(end.Exited(EXIT_FAILURE)) << end;
  EXPECT_EQ(end.errors,
            "weft: the environment variable WEFT_PARALLELISM is \"many\"; it must be a whole number from 1 to 1024\n");
}

TEST(ExitTest, ARuntimeOfItsOwnRunsOnUntilTheProcessEnds) {
  const ChildEnd end = InChild([] {
    static std::atomic<bool> there{false};
    std::thread([] { std::exit(RunMain([]() -> Task<void> {
                       there = true;
                       co_await Forever();
                     }())); })
        .detach();
    while (!there) std::this_thread::yield();
    std::exit(7);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
  EXPECT_EQ(end.errors, "");
}

TEST(ExitTest, ExitOnAVirtualThreadOfASimulation) {
  const ChildEnd end = InChild([] {
    weft::Run([]() -> Task<void> { co_return; }());
    testing::Simulation().Run(CallsExit(7));
  });
  EXPECT_TRUE(end.Exited(7)) << end;
}

// ---- A runtime whose end waits.

TEST(RuntimeEndTest, SaysAfterAWhileWhomItWaitsFor) {
  const ChildEnd end = InChild([] {
    internal::g_exit_patience_ns = 0;
    int told[2];
    if (::pipe(told) != 0 || ::dup2(told[1], STDERR_FILENO) < 0) std::exit(1);
    static std::atomic<int> there{0};
    static Event lets_go;
    std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 1});
    std::thread runs([&runtime] {
      runtime->Run([]() -> Task<void> {
        ++there;
        co_await Shield(lets_go.Wait());
      }());
    });
    while (there == 0) std::this_thread::yield();
    std::string said(1000, '\0');
    std::thread reads([&] {
      said.resize(static_cast<size_t>(::read(told[0], said.data(), said.size())));
      lets_go.Set();
    });
    runtime.reset();
    reads.join();
    runs.join();
    std::exit(said.starts_with("weft: the end of a runtime waits for virtual threads, which were asked to end:\n  "
                               "VirtualThread[#1]") ? 7 : 2);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
}

// ---- A runtime that is destroyed by what it runs.

// Where from. `destroy` does it; it does not return.
struct From {
  const char* name;
  Task<void> (*run)(std::function<void()> destroy);

  friend std::ostream& operator<<(std::ostream& out, const From& from) { return out << from.name; }
};

struct Destroys {
  explicit Destroys(std::function<void()> by) : destroy(std::move(by)) {}
  Destroys(const Destroys&) = delete;
  Destroys& operator=(const Destroys&) = delete;
  ~Destroys() { destroy(); }
  const std::function<void()> destroy;
};

const From kFrom[] = {
    {"TheRoot",
     [](std::function<void()> destroy) -> Task<void> {
       destroy();
       co_return;
     }},
    {"AChild",
     [](std::function<void()> destroy) -> Task<void> {
       AwaitAll scope;
       scope.Fork([&destroy]() -> Task<void> {
         co_await Yield();
         destroy();
       });
       (co_await scope.Join()).IgnoreFailures();
     }},
    {"ALocalThatIsUnwound",
     [](std::function<void()> destroy) -> Task<void> {
       static_cast<void>(co_await MoveOnAfter(absl::ZeroDuration(), [](std::function<void()>& last) -> Task<void> {
         Destroys local(last);
         co_await Forever();
       }(destroy)));
     }},
    {"ACleanUp",
     [](std::function<void()> destroy) -> Task<void> {
       co_await Finally([]() -> Task<void> { co_return; }(), [&destroy]() -> Task<void> {
         destroy();
         co_return;
       });
     }},
    {"AClosureThatIsDestroyed",
     [](std::function<void()> destroy) -> Task<void> {
       AwaitAll scope;
       scope.Fork([last = std::make_shared<Destroys>(std::move(destroy))]() -> Task<void> { co_return; });
       (co_await scope.Join()).IgnoreFailures();
     }},
    {"AStopCallback",
     [](std::function<void()> destroy) -> Task<void> {
       static_cast<void>(co_await MoveOnAfter(absl::ZeroDuration(), [](std::function<void()>& last) -> Task<void> {
         StopOnCancel stop;
         std::stop_callback callback(stop.token(), last);
         co_await Forever();
       }(destroy)));
     }},
};

class DestroyedFromWithinTest : public ::testing::TestWithParam<From> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, DestroyedFromWithinTest, ::testing::ValuesIn(kFrom),
                         ::testing::PrintToStringParamName());

constexpr char kDestroyed[] =
    "a runtime is destroyed by one of its own virtual threads, or by what its carriers call, and would wait for "
    "itself; "
    "let main(), or another OS thread, destroy it";

TEST_P(DestroyedFromWithinTest, IsRefused) {
  for (const int carriers : {1, 2, 4}) {
    for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
      const ChildEnd end = InChild([&] {
        std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = carriers, .io = io});
        runtime->Run(GetParam().run([&runtime] { runtime.reset(); }));
      });
      EXPECT_TRUE(end.Refused(kDestroyed)) << carriers << " carriers: " << end;
    }
    const ChildEnd simulated = InChild([&] {
      std::optional<testing::Simulation> simulation(std::in_place, testing::SimulationOptions{.carriers = carriers});
      simulation->Run(GetParam().run([&simulation] { simulation.reset(); }));
    });
    EXPECT_TRUE(simulated.Refused(kDestroyed)) << carriers << " simulated carriers: " << simulated;
  }
  const ChildEnd by_default = InChild([] { weft::Run(GetParam().run([] { Runtime::StopDefault(); })); });
  EXPECT_TRUE(by_default.Refused(kDestroyed)) << by_default;
}

TEST(DestroyedFromBlockingTest, IsRefused) {
  const ChildEnd end = InChild([] {
    std::unique_ptr<Runtime> runtime = *Runtime::Create({.parallelism = 2});
    runtime->Run([](std::unique_ptr<Runtime>& own) -> Task<void> {
      (co_await Blocking([&own] { own.reset(); })).IgnoreError();
    }(runtime));
  });
  EXPECT_TRUE(end.Refused("a runtime is destroyed by a function that VirtualThread[#1] of its own awaits in "
                          "Blocking(), and would wait for itself; let main(), or another OS thread, destroy it"))
      << end;
}

}  // namespace
}  // namespace weft
