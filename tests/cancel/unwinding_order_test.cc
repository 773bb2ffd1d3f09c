// The order in which an unwinding gives back what a thread holds. Goal: what a cancelled thread leaves behind, and what
// the clean-ups of its children find, is what an exception would have left and they would have found. Method: one
// product of who holds what, who wants it, where the owner waits, and who cancels it; each must end.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/support/on_both.h"
#include "weft/cancellation.h"
#include "weft/finally.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::OnBoth;

// What the owner holds and a child's clean-up wants.
enum class Held { kMutex, kMutexTried, kRecursiveMutex, kWriter, kReader, kAfterACondition, kPermit };
// Where the lock is taken, after the scope was opened.
enum class Taken { kSameFrame, kCallee, kCallerOfTheWait };
// Where the owner waits when it is cancelled.
enum class Waits { kSleep, kEvent, kJoin, kInnerJoin };
// Who wants it.
enum class Wants { kChild, kGrandchild, kStranger };

struct Case {
  Held held;
  Taken taken;
  Waits waits;
  Wants wants;
};

std::string Name(const Case& of) {
  static constexpr const char* kHeld[] = {"mutex", "mutex by TryLock", "recursive mutex", "writer", "reader",
                                          "mutex after a wait for a condition", "permit"};
  static constexpr const char* kTaken[] = {"same frame", "callee", "caller of the wait"};
  static constexpr const char* kWaits[] = {"sleeps", "waits for an event", "joins", "joins an inner scope"};
  static constexpr const char* kWants[] = {"child", "grandchild", "stranger between two locks"};
  return absl::StrCat(kHeld[static_cast<int>(of.held)], ", ", kTaken[static_cast<int>(of.taken)], ", ",
                      kWaits[static_cast<int>(of.waits)], ", wanted by a ", kWants[static_cast<int>(of.wants)]);
}

class World {
 public:
  explicit World(Case of) : of_(of) {}

  // Ends, if what the owner holds is given back before its children are waited for.
  Task<void> Run() {
    AwaitAll outer;
    if (of_.wants == Wants::kStranger) {
      outer.Fork([this] { return Stranger(); });
      co_await strangers_.Wait();
    }
    outer.Fork([this] { return Owner(); });
    co_await holds_.Wait();
    outer.Shutdown();
    (co_await outer.Join()).IgnoreFailures();
  }
  bool cleaned_up() const { return cleaned_up_; }

 private:
  using Guard = std::variant<MutexGuard, RecursiveMutexGuard, WriterGuard, ReaderGuard, Permit>;

  Task<Guard> LockAsOwner() {
    switch (of_.held) {
      case Held::kMutexTried:
        if (std::optional<MutexGuard> guard = mutex_.TryLock()) co_return *std::move(guard);
        break;
      case Held::kReader:
        co_return co_await shared_.LockShared();
      case Held::kAfterACondition: {
        MutexGuard guard = co_await mutex_.Lock();
        co_await condition_.WaitFor(guard, absl::Milliseconds(1));
        co_return guard;
      }
      default:
        break;
    }
    co_return co_await Lock();
  }
  // What nobody else may hold at the same time.
  Task<Guard> Lock() {
    switch (of_.held) {
      case Held::kRecursiveMutex:
        co_return co_await recursive_.Lock();
      case Held::kWriter:
      case Held::kReader:
        co_return co_await shared_.Lock();
      case Held::kPermit:
        co_return co_await semaphore_.Acquire();
      default:
        co_return co_await mutex_.Lock();
    }
  }

  // What a clean-up does: takes the lock, and gives it back.
  Task<void> TakeAndGiveBack() {
    if (of_.wants == Wants::kStranger) {
      const MutexGuard other = co_await between_.Lock();
    } else {
      const Guard guard = co_await Lock();
    }
    cleaned_up_ = true;
  }

  // Holds what the clean-up wants, and waits for what the owner holds.
  Task<void> Stranger() {
    const MutexGuard guard = co_await between_.Lock();
    strangers_.Set();
    co_await Shield([](World& world) -> Task<void> {
      co_await world.holds_.Wait();
      const Guard lock = co_await world.Lock();
    }(*this));
  }

  Task<void> Child() {
    if (of_.wants != Wants::kGrandchild) co_return co_await TakeAndGiveBack();
    AwaitAll scope;
    scope.Fork([this] { return TakeAndGiveBack(); });
    (co_await scope.Join()).IgnoreFailures();
  }

  Task<void> WaitForever(AwaitAll& scope) {
    switch (of_.waits) {
      case Waits::kSleep:
        co_await Sleep(absl::Hours(1));
        break;
      case Waits::kEvent:
        co_await never_.Wait();
        break;
      case Waits::kJoin:
        (co_await scope.Join()).IgnoreFailures();
        break;
      case Waits::kInnerJoin: {
        AwaitAll inner;
        inner.Fork([]() -> Task<void> { co_await Sleep(absl::Hours(1)); });
        (co_await inner.Join()).IgnoreFailures();
        break;
      }
    }
  }
  Task<void> LockAndWait(AwaitAll& scope) {
    const Guard guard = co_await LockAsOwner();
    holds_.Set();
    co_await WaitForever(scope);
  }
  Task<void> WaitThrough(AwaitAll& scope) { co_await WaitForever(scope); }

  Task<void> Owner() {
    AwaitAll scope;
    Event begun;
    scope.Fork([this, &begun]() -> Task<void> {
      co_await Finally(
          [](Event& has_begun) -> Task<void> {
            has_begun.Set();
            co_await Sleep(absl::Hours(1));
          }(begun),
          [this] { return Child(); });
    });
    co_await begun.Wait();
    if (of_.taken == Taken::kCallee) co_return co_await LockAndWait(scope);
    const Guard guard = co_await LockAsOwner();
    holds_.Set();
    if (of_.taken == Taken::kSameFrame) {
      co_await WaitForever(scope);
    } else {
      co_await WaitThrough(scope);
    }
  }

  const Case of_;
  Mutex mutex_;
  Mutex between_;
  RecursiveMutex recursive_;
  SharedMutex shared_;
  ConditionVariable condition_;
  Semaphore semaphore_{1};
  Event never_, holds_, strangers_;
  bool cleaned_up_ = false;
};

class UnwindingOrderTest : public OnBoth {
 protected:
  // As OnEveryRuntime(), with little patience and few rounds: nothing but time tells that nobody gives a permit back.
  static void OnImpatientRuntimes(const std::function<void(Runtime&)>& run) {
    if (simulated()) return OnEveryRuntime(run);
    const auto runtime = Runtime::Create({.parallelism = carriers(), .drain_patience = absl::Milliseconds(1)});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    for (int round = 0; round < 3 && !HasFailure(); ++round) run(**runtime);
  }
};

TEST_P(UnwindingOrderTest, ALockTakenAfterTheScopeIsGivenBackBeforeTheChildrenAreWaitedFor) {
  for (const Held held : {Held::kMutex, Held::kMutexTried, Held::kRecursiveMutex, Held::kWriter, Held::kReader,
                          Held::kAfterACondition, Held::kPermit}) {
    for (const Taken taken : {Taken::kSameFrame, Taken::kCallee, Taken::kCallerOfTheWait}) {
      for (const Waits waits : {Waits::kSleep, Waits::kEvent, Waits::kJoin, Waits::kInnerJoin}) {
        for (const Wants wants : {Wants::kChild, Wants::kGrandchild, Wants::kStranger}) {
          const Case of{held, taken, waits, wants};
          SCOPED_TRACE(Name(of));
          OnImpatientRuntimes([&of](Runtime& runtime) {
            World world(of);
            runtime.Run(world.Run());
            EXPECT_TRUE(world.cleaned_up());
          });
        }
      }
    }
  }
}

// What the destructors of a frame's locals say, in the order in which they run.
struct Says {
  Says(std::vector<std::string>& to, std::string text) : said(to), what(std::move(text)) {}
  Says(const Says&) = delete;
  Says& operator=(const Says&) = delete;
  ~Says() { said.push_back(what); }
  std::vector<std::string>& said;
  const std::string what;
};

TEST_P(UnwindingOrderTest, FramesInsideAScopeGoBeforeItsChildrenHaveEnded) {
  OnEveryRuntime([](Runtime& runtime) {
    std::vector<std::string> said;
    const int64_t pins = runtime.Stats().pins;
    runtime.Run([](std::vector<std::string>& to) -> Task<void> {
      Event in_the_leaf, leaf_gone;
      AwaitAll outer;
      outer.Fork([&]() -> Task<void> {
        const Says before(to, "before the scope");
        AwaitAll scope;
        Event begun;
        scope.Fork([&]() -> Task<void> {
          // Ends when the leaf is gone: an order, not a coincidence.
          begun.Set();
          co_await Shield([](Event& gone) -> Task<void> { co_await gone.Wait(); }(leaf_gone));
          to.push_back("the child");
        });
        co_await begun.Wait();
        const Says after(to, "after the scope, in its frame");
        co_await [](std::vector<std::string>& says, Event& inside, Event& gone) -> Task<void> {
          struct Sets {
            ~Sets() { event.Set(); }
            Event& event;
          } sets{gone};
          const Says leaf(says, "the leaf");
          inside.Set();
          co_await Sleep(absl::Hours(1));
        }(to, in_the_leaf, leaf_gone);
      });
      co_await in_the_leaf.Wait();
      outer.Shutdown();
      (co_await outer.Join()).IgnoreFailures();
    }(said));
    EXPECT_EQ(said, (std::vector<std::string>{"the leaf", "the child", "after the scope, in its frame",
                                              "before the scope"}));
    EXPECT_EQ(runtime.Stats().pins, pins) << "the frame of the scope waits without its carrier";
  });
}

// A lock that was taken before the scope was opened lies further out: to destroy the frame would not give it back.
TEST_P(UnwindingOrderTest, NoCarrierIsHeldForALockTakenBeforeTheScope) {
  OnEveryRuntime([](Runtime& runtime) {
    const int64_t pins = runtime.Stats().pins;
    bool tried = false;
    runtime.Run([](bool& has_tried) -> Task<void> {
      Mutex mutex;
      Event begun, held;
      AwaitAll outer;
      outer.Fork([&]() -> Task<void> {
        const MutexGuard guard = co_await mutex.Lock();
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          co_await Finally([](Event& has_begun) -> Task<void> {
            has_begun.Set();
            co_await Sleep(absl::Hours(1));
          }(begun), [&]() -> Task<void> {
            if (co_await MoveOnAfter(absl::Milliseconds(1), [](Mutex& wanted) -> Task<void> {
                  const MutexGuard lock = co_await wanted.Lock();
                }(mutex))) {
              ADD_FAILURE() << "the lock was given back";
            }
            has_tried = true;
          });
        });
        co_await begun.Wait();
        held.Set();
        co_await Sleep(absl::Hours(1));
      });
      co_await held.Wait();
      outer.Shutdown();
      (co_await outer.Join()).IgnoreFailures();
    }(tried));
    EXPECT_TRUE(tried);
    EXPECT_EQ(runtime.Stats().pins, pins);
  });
}

Task<void> BeginAndSleep(Event& begun) {
  begun.Set();
  co_await Sleep(absl::Hours(1));
}

TEST_P(UnwindingOrderTest, WhoWantsAPermitAfterThePatienceIsOverGetsItAllTheSame) {
  OnImpatientRuntimes([](Runtime& runtime) {
    bool cleaned_up = false;
    runtime.Run([](bool& cleaned) -> Task<void> {
      Semaphore semaphore(1);
      Event holds;
      AwaitAll outer;
      outer.Fork([&]() -> Task<void> {
        Event begun;
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          co_await Finally(
              BeginAndSleep(begun),
              [&]() -> Task<void> {
                co_await Sleep(absl::Milliseconds(10));
                const Permit permit = co_await semaphore.Acquire();
                cleaned = true;
              });
        });
        co_await begun.Wait();
        const Permit permit = co_await semaphore.Acquire();
        holds.Set();
        co_await Sleep(absl::Hours(1));
      });
      co_await holds.Wait();
      outer.Shutdown();
      (co_await outer.Join()).IgnoreFailures();
    }(cleaned_up));
    EXPECT_TRUE(cleaned_up);
  });
}

// Handlers that end at once. Each holds a lock and a permit of its own that nobody wants, and has a child whose
// clean-up takes its time. `wanted`: a thread waits for a permit of another semaphore meanwhile.
Task<void> EndAtOnce(int count, bool wanted) {
  struct Handler {
    Mutex mutex;
    Semaphore semaphore{1};
  };
  std::vector<Handler> all(count);
  Event all_wait, all_clean_up;
  std::atomic<int> waiting = 0;
  std::atomic<int> cleaning = 0;
  Semaphore none(0);
  AwaitAll others;
  if (wanted) others.Fork([&]() -> Task<void> { const Permit permit = co_await none.Acquire(); });
  while (none.QueueLength() < (wanted ? 1 : 0)) co_await Yield();
  {
    AwaitAll server;
    for (Handler& handler : all) {
      server.Fork([&]() -> Task<void> {
        Event begun;
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          co_await Finally(
              BeginAndSleep(begun),
              [&]() -> Task<void> {
                if (++cleaning == count) all_clean_up.Set();
                co_await all_clean_up.Wait();
              });
        });
        co_await begun.Wait();
        const MutexGuard guard = co_await handler.mutex.Lock();
        const Permit permit = co_await handler.semaphore.Acquire();
        if (++waiting == count) all_wait.Set();
        co_await Sleep(absl::Hours(1));
      });
    }
    co_await all_wait.Wait();
    server.Shutdown();
    (co_await server.Join()).IgnoreFailures();
    EXPECT_EQ(cleaning, count);
  }
  others.Shutdown();
  (co_await others.Join()).IgnoreFailures();
}

// Calls run(runtime), where the owners' patience is short.
template <class Run>
void WhereOwnersAreImpatient(testing::Place place, Run run) {
  if (place.simulated) {
    testing::Simulation simulation({.carriers = place.carriers, .seed = 1});
    return run(simulation.runtime());
  }
  const auto real = Runtime::Create({.parallelism = place.carriers, .drain_patience = absl::Milliseconds(1)});
  ASSERT_TRUE(real.ok()) << real.status();
  run(**real);
}

TEST_P(UnwindingOrderTest, HandlersThatEndAtOnceHoldNoCarriers) {
  WhereOwnersAreImpatient(GetParam(), [](Runtime& runtime) {
    const int64_t pins = runtime.Stats().pins;
    runtime.Run(EndAtOnce(simulated() ? 100 : 10'000, /*wanted=*/false));
    EXPECT_EQ(runtime.Stats().pins, pins);
  });
}

TEST_P(UnwindingOrderTest, HandlersThatEndAtOnceWhileAPermitIsWantedEnd) {
  WhereOwnersAreImpatient(
      GetParam(), [](Runtime& runtime) { runtime.Run(EndAtOnce(simulated() ? 100 : 10'000, /*wanted=*/true)); });
}

// One carrier is left for the children of others, which wait for each other.
TEST(UnwindingOrderThreadTest, HandlersThatEndAtOnceWhileAPermitIsWantedEndWhereNoCarrierIsToBeHad) {
  for (const int carriers : {2, 4}) {
    const auto runtime = Runtime::Create({.parallelism = carriers,
                                          .drain_patience = absl::Milliseconds(1),
                                          .held_carrier_threshold = absl::ZeroDuration()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    const internal::ScopedSyscallFault fault(&internal::Syscalls::pthread_create,
                                             {.times = internal::ScopedSyscallFault::kForever, .error = EAGAIN});
    (*runtime)->Run(EndAtOnce(10'000, /*wanted=*/true));
    EXPECT_EQ((*runtime)->Stats().carriers, carriers);
  }
}

// What is said in cancellation.h not to rely on is found in a simulation, and ends.
TEST(UnwindingOrderSimulatedTest, AnEventThatTheFrameSetsEndsASimulation) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation simulation({.carriers = 2, .seed = seed});
    simulation.runtime().Run([]() -> Task<void> {
      Event begun;
      AwaitAll outer;
      outer.Fork([&]() -> Task<void> {
        Event gone, child_begun;
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          child_begun.Set();
          co_await Shield([](Event& to_come) -> Task<void> { co_await to_come.Wait(); }(gone));
        });
        co_await child_begun.Wait();
        struct Sets {
          ~Sets() { event.Set(); }
          Event& event;
        } sets{gone};
        begun.Set();
        co_await Sleep(absl::Hours(1));
      });
      co_await begun.Wait();
      outer.Shutdown();
      (co_await outer.Join()).IgnoreFailures();
    }());
    EXPECT_EQ(simulation.runtime().Stats().pins, 1);
  }
}

WEFT_ON_BOTH(UnwindingOrderTest);

}  // namespace
}  // namespace weft
