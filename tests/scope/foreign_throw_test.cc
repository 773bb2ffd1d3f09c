// Foreign() and AsForeign() where exceptions are on. Goal: the sentences of foreign.h on exceptions, and on what
// foreign code sees of a cancellation, one test each. Method: as foreign_test.cc; and a program of both kinds of
// coroutines, nested, that is cancelled at every occasion there is.
#include <gtest/gtest.h>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/cancel/cancel_at.h"
#include "tests/support/counted.h"
#include "tests/support/foreign_task.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/foreign.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Forever;
using testing::Introduction;
using testing::OnBoth;
using testing::Place;
using testing::StopOnceItWaits;

class ForeignThrowTest : public OnBoth {};
WEFT_ON_BOTH(ForeignThrowTest);

class ForeignThreadThrowTest : public OnBoth {};
INSTANTIATE_TEST_SUITE_P(Everywhere, ForeignThreadThrowTest,
                         ::testing::Values(Place{false, 1}, Place{false, 2}, Place{false, 4}),
                         ::testing::PrintToStringParamName());

struct Planned : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// ---- Exceptions.

template <class T>
Task<bool> ThrowsPlanned(Task<T> task) {
  try {
    co_await std::move(task);
    co_return false;
  } catch (const Planned&) {
    co_return true;
  }
}

TEST_P(ForeignThrowTest, AnExceptionOfForeignCodeIsThrownInTheTask) {
  Everywhere([]() -> Task<void> {
    EXPECT_TRUE(co_await ThrowsPlanned(Foreign([]() -> other::task<> {
      throw Planned("at once");
      co_return;
    }())));
    EXPECT_TRUE(co_await ThrowsPlanned(Foreign([]() -> other::task<int> {
      co_await AsForeign(Yield());
      throw Planned("later");
    }())));
    struct ThrowsInAwaiter {
      bool await_ready() const { throw Planned("by an awaiter"); }
      void await_suspend(std::coroutine_handle<>) const noexcept {}
      void await_resume() const noexcept {}
    };
    EXPECT_TRUE(co_await ThrowsPlanned(Foreign(ThrowsInAwaiter())));
  });
}

TEST_P(ForeignThreadThrowTest, AnExceptionFromAnotherOsThreadIsThrownOnACarrier) {
  other::thread elsewhere;
  OnEveryRuntime([&elsewhere](Runtime& runtime) {
    runtime.Run([](other::thread& elsewhere) -> Task<void> {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(co_await ThrowsPlanned(Foreign([](other::thread& elsewhere) -> other::task<> {
          co_await elsewhere.schedule();
          throw Planned("elsewhere");
        }(elsewhere))));
        EXPECT_TRUE(VirtualThread::HasCurrent());
      }
    }(elsewhere));
  });
}

TEST_P(ForeignThrowTest, AnExceptionOfATaskIsThrownInTheForeignCoroutine) {
  Everywhere([]() -> Task<void> {
    const bool thrown = co_await Foreign([]() -> other::task<bool> {
      bool caught = false;
      try {
        co_await AsForeign([]() -> Task<void> {
          co_await Yield();
          throw Planned("by a task");
        }());
      } catch (const Planned&) {
        caught = true;
      }
      co_await AsForeign(Yield());
      co_return caught;
    }());
    EXPECT_TRUE(thrown);
    EXPECT_TRUE(co_await ThrowsPlanned(Foreign([]() -> other::task<> {
      co_await AsForeign(Foreign([]() -> other::task<> {
        throw Planned("through both");
        co_return;
      }()));
    }())));
  });
}

// Each allocation of each side fails in turn.
TEST(ForeignMemoryTest, WhatHasNoMemoryThrowsWhereItIsAwaited) {
  testing::Simulation simulation;
  simulation.Run([]() -> Task<void> {
    int failures = 0, in_task = 0, in_foreign = 0;
    for (int64_t at = 1; at < 20; ++at) {
      internal::ScopedFrameFault fault({.first = at});
      try {
        in_foreign += co_await Foreign([]() -> other::task<bool> {
          try {
            co_await AsForeign(Yield());
            co_await AsForeign([]() -> Task<void> { co_return; }());
          } catch (const std::bad_alloc&) {
            co_return true;
          }
          co_return false;
        }());
      } catch (const std::bad_alloc&) {
        ++in_task;
      }
      failures += fault.allocations() >= at;
    }
    // The adapter and its hop; a frame for Yield(), and the Task. A compiler may put a frame into another one.
    EXPECT_GE(in_task, 1);
    EXPECT_GE(in_foreign, 1);
    EXPECT_EQ(in_task + in_foreign, failures);
  }());
}

// ---- Cancellation.

// A foreign coroutine that waits in `operation`, and takes note of what ends that.
struct Seen {
  int cancelled = 0;
  int went_on = 0;
  std::optional<CancelReason> reason;
};
template <class Make>
other::task<> WaitIn(Make make, Seen& seen) {
  Counted local;
  try {
    static_cast<void>(co_await AsForeign(make()));
    ++seen.went_on;
  } catch (const Cancelled& cancelled) {
    ++seen.cancelled;
    seen.reason = ReasonOf(cancelled.status());
    EXPECT_TRUE(CancelRequested());
    throw;
  }
}

// No handler of the task's may see it, and nothing of it runs.
template <class Make>
Task<void> GuardedWaitIn(Make make, Seen& seen) {
  Counted local;
  try {
    co_await Foreign(WaitIn(make, seen));
    ++seen.went_on;
  } catch (...) {
    ADD_FAILURE() << "a Task has caught a cancellation";
  }
}

TEST_P(ForeignThrowTest, ACancelledOperationThrowsInTheForeignCoroutineAndTheTaskIsUnwound) {
  Everywhere([]() -> Task<void> {
    Event never;
    Mutex mutex;
    const std::optional<MutexGuard> held = mutex.TryLock();
    auto expect_timeout = [](Task<void> task, Seen& seen) -> Task<void> {
      seen = {};
      const absl::Status late = co_await StopOnceItWaits(std::move(task));
      EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kStopRequested) << late;
      EXPECT_EQ(seen.cancelled, 1);
      EXPECT_EQ(seen.went_on, 0);
      EXPECT_EQ(seen.reason->kind, CancelReason::Kind::kStopRequested);
      EXPECT_FALSE(CancelRequested());
    };
    Seen seen;
    co_await expect_timeout(GuardedWaitIn([] { return Sleep(absl::InfiniteDuration()); }, seen), seen);
    co_await expect_timeout(GuardedWaitIn([&never] { return never.Wait(); }, seen), seen);
    co_await expect_timeout(GuardedWaitIn([&mutex] { return mutex.Lock(); }, seen), seen);
    co_await expect_timeout(GuardedWaitIn([] { return Forever(); }, seen), seen);
    co_await expect_timeout(GuardedWaitIn([] { return All(Forever(), Forever()); }, seen), seen);
    co_await expect_timeout(GuardedWaitIn(
                                []() -> Task<void> {
                                  AwaitAll scope;
                                  scope.Fork(Forever());
                                  scope.Fork(Foreign([]() -> other::task<> { co_await AsForeign(Forever()); }()));
                                  (co_await scope.Join()).IgnoreFailures();
                                },
                                seen),
                            seen);
    // Directly, without a Task between.
    seen = {};
    const absl::Status late =
        co_await StopOnceItWaits(Foreign(WaitIn([] { return Sleep(absl::InfiniteDuration()); }, seen)));
    EXPECT_EQ(ReasonOf(late).kind, CancelReason::Kind::kStopRequested);
    EXPECT_EQ(seen.cancelled, 1);
  });
  EXPECT_EQ(Counted::alive.load(), 0);
}

TEST_P(ForeignThrowTest, AJoinOfTheForeignCoroutinesOwnScopeIsCancelledAndTheScopeWaits) {
  Everywhere([]() -> Task<void> {
    int begun = 0;
    int ended = 0;
    const absl::Status late = co_await StopOnceItWaits(Foreign([](int& begun, int& ended) -> other::task<> {
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        struct Ended {
          int& count;
          ~Ended() { ++count; }
        } local{ended};
        ++begun;
        co_await Forever();
      });
      (co_await AsForeign(scope.Join())).IgnoreFailures();
      ADD_FAILURE() << "it has joined";
    }(begun, ended)));
    EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(ended, begun);
  });
}

TEST_P(ForeignThrowTest, ARequestThatComesWhileForeignCodeRunsEndsItsNextOperation) {
  Everywhere([]() -> Task<void> {
    Seen seen;
    Event begun;
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> {
      co_await Foreign([](Event& begun, Seen& seen) -> other::task<> {
        EXPECT_FALSE(CancelRequested());
        begun.Set();
        co_await AsForeign(testing::UntilAsked());
        // What passes no checkpoint is not cancelled.
        EXPECT_EQ(co_await AsForeign([]() -> Task<int> { co_return 1; }()), 1);
        co_await WaitIn([] { return Yield(); }, seen);
      }(begun, seen));
      ADD_FAILURE() << "the task goes on";
    });
    co_await begun.Wait();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(seen.cancelled, 1);
    EXPECT_EQ(seen.reason->kind, CancelReason::Kind::kShutdown);
  });
}

TEST_P(ForeignThrowTest, ForeignCodeThatKeepsACancellationIsToldAgainAndItsResultDelivered) {
  Everywhere([]() -> Task<void> {
    int delivered = 0;
    const absl::Status late = co_await StopOnceItWaits([](int& delivered) -> Task<void> {
      delivered = co_await Foreign([]() -> other::task<int> {
        int told = 0;
        for (int i = 0; i < 3; ++i) {
          try {
            co_await AsForeign(Forever());
          } catch (const Cancelled&) {
            ++told;
          }
        }
        co_return told;
      }());
      co_await Yield();
      delivered = -1;
    }(delivered));
    EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(delivered, 3);
  });
}

TEST_P(ForeignThrowTest, ACancellationThatForeignCodeReplacesIsTheExceptionThatItThrows) {
  Everywhere([]() -> Task<void> {
    const absl::StatusOr<bool> done = co_await StopOnceItWaits(ThrowsPlanned(Foreign([]() -> other::task<> {
                                                             try {
                                                               co_await AsForeign(Forever());
                                                             } catch (const Cancelled&) {
                                                               throw Planned("instead");
                                                             }
                                                           }())));
    EXPECT_TRUE(done.value());
  });
}

TEST_P(ForeignThrowTest, ACancelledOfSomebodyElseIsAnExceptionLikeAnyOther) {
  Everywhere([]() -> Task<void> {
    bool caught = false;
    try {
      co_await Foreign([]() -> other::task<> {
        throw Cancelled(absl::CancelledError("elsewhere"));
        co_return;
      }());
    } catch (const Cancelled& cancelled) {
      caught = cancelled.status() == absl::CancelledError("elsewhere");
    }
    EXPECT_TRUE(caught);
  });
}

TEST_P(ForeignThrowTest, ACancellationThatStopsInsideIsAStatusForTheForeignCoroutineOutside) {
  Everywhere([]() -> Task<void> {
    Seen seen;
    co_await Foreign([](Seen& seen) -> other::task<> {
      const absl::Status late = co_await AsForeign(StopOnceItWaits(GuardedWaitIn([] { return Forever(); }, seen)));
      EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
      co_await AsForeign(Yield());
    }(seen));
    EXPECT_EQ(seen.cancelled, 1);
  });
}

TEST_P(ForeignThrowTest, ACancellationGoesThroughBothSidesFromTheInside) {
  struct Nested {
    static Task<void> Weft(int depth, std::vector<int>& order) {
      Note local{order, 2 * depth};
      if (depth == 0) co_await Forever();
      co_await Foreign(Other(depth - 1, order));
      ADD_FAILURE() << "the task goes on";
    }
    static other::task<> Other(int depth, std::vector<int>& order) {
      Note local{order, 2 * depth + 1};
      co_await AsForeign(Weft(depth, order));
      ADD_FAILURE() << "the foreign coroutine goes on";
    }
    struct Note {
      std::vector<int>& order;
      int depth;
      ~Note() { order.push_back(depth); }
    };
  };
  Everywhere([]() -> Task<void> {
    std::vector<int> order;
    const absl::Status late = co_await StopOnceItWaits(Nested::Weft(2, order));
    EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  });
}

TEST_P(ForeignThrowTest, AShieldedOperationIsNotCancelled) {
  Everywhere([]() -> Task<void> {
    Seen seen;
    bool shielded = false;
    Event asked;
    std::stop_source source;
    AwaitAll scope;
    scope.Fork([&asked, &source, thread = VirtualThread::Current()]() -> Task<void> {
      co_await testing::UntilParked(thread);
      source.request_stop();
      asked.Set();
    });
    const absl::Status late = co_await WithStopToken(
        source.get_token(), [](Seen& seen, bool& shielded, Event& asked) -> Task<void> {
          co_await Shield(Foreign([](bool& shielded, Event& asked) -> other::task<> {
            co_await AsForeign(asked.Wait());
            shielded = true;
          }(shielded, asked)));
          co_await GuardedWaitIn([] { return Forever(); }, seen);
        }(seen, shielded, asked));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(late.code(), absl::StatusCode::kCancelled);
    EXPECT_TRUE(shielded);
    EXPECT_EQ(seen.cancelled, 0);  // it has not begun
  });
}

TEST_P(ForeignThreadThrowTest, TheEndOfARuntimeIsACancellationWithItsReason) {
  for (int round = 0; round < kRounds; ++round) {
    absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers()});
    ASSERT_TRUE(runtime.ok());
    Seen seen;
    std::atomic<bool> parked = false;
    std::thread runs([&seen, &parked, &runtime = **runtime] {
      const absl::Status ended = runtime.TryRun([](Seen& seen, std::atomic<bool>& parked) -> Task<void> {
        co_await Foreign(WaitIn(
            [&parked]() -> Task<void> {
              parked = true;
              parked.notify_one();
              co_await Forever();
            },
            seen));
      }(seen, parked));
      EXPECT_EQ(ReasonOf(ended).kind, CancelReason::Kind::kRuntimeExit);
    });
    parked.wait(false);
    runtime->reset();
    runs.join();
    EXPECT_EQ(seen.cancelled, 1);
    EXPECT_EQ(seen.reason->kind, CancelReason::Kind::kRuntimeExit);
  }
}

// The end of foreign work, on its own OS thread, and a request: whichever comes first.
TEST_P(ForeignThreadThrowTest, ARequestThatComesWithTheEndEndsTheThreadOnce) {
  other::thread elsewhere;
  OnEveryRuntime([&elsewhere](Runtime& runtime) {
    runtime.Run([](other::thread& elsewhere) -> Task<void> {
      for (int i = 0; i < 20; ++i) {
        std::atomic<int> ended = 0, delivered = 0;
        AwaitAll scope;
        Event begun;
        for (int child = 0; child < 3; ++child) {
          scope.Fork([&]() -> Task<void> {
            struct Ended {
              std::atomic<int>& count;
              ~Ended() { ++count; }
            } local{ended};
            begun.Set();
            const int got = co_await Foreign([](other::thread& elsewhere) -> other::task<int> {
              Counted local;
              co_await AsForeign(Yield());
              co_await elsewhere.schedule();
              co_return 1;
            }(elsewhere));
            delivered += got;
            co_await Yield();
          });
        }
        co_await begun.Wait();
        scope.Shutdown();
        (co_await scope.Join()).IgnoreFailures();
        EXPECT_LE(delivered, ended);
      }
    }(elsewhere));
  });
  EXPECT_EQ(Counted::alive.load(), 0);
}

// ---- Everything, cancelled everywhere.

// Both kinds of coroutines, in each other, with every way in which one may leave off.
class Program {
 public:
  static Task<int> Run() {
    Counted local;
    Event event;
    other::baton baton;
    ShutdownOnFailure scope;
    auto posts = scope.Fork([&]() -> Task<void> {
      Posting posted{baton, event};
      co_await Yield();
    });
    int sum = co_await Foreign(Inner(event, baton));
    EXPECT_TRUE((co_await scope.Join()).ok());
    sum += co_await Foreign(Swallows());
    co_return sum;
  }

 private:
  // However its thread ends: what has begun to wait for the baton is waited for.
  struct Posting {
    other::baton& baton;
    Event& event;
    ~Posting() {
      event.Set();
      baton.post();
    }
  };
  static other::task<int> Inner(Event& event, other::baton& baton) {
    Counted local;
    co_await AsForeign(event.Wait());
    const int deep = co_await AsForeign([](other::baton& baton) -> Task<int> {
      Counted local;
      co_await Sleep(absl::Milliseconds(1));
      co_await Foreign(baton);
      auto [a, b] = co_await All(Foreign(Leaf()), Foreign(Leaf()));
      co_return a + b;
    }(baton));
    ShutdownOnFailure scope;
    auto forked = scope.Fork(Foreign(Leaf()));
    EXPECT_TRUE((co_await AsForeign(scope.Join())).ok());
    co_return deep + *forked;
  }
  static other::task<int> Leaf() {
    Counted local;
    co_await AsForeign(Yield());
    co_return 1;
  }
  static other::task<int> Swallows() {
    Counted local;
    try {
      co_await AsForeign(Sleep(absl::Milliseconds(1)));
    } catch (const Cancelled&) {
      // As foreign code might.
    }
    co_return 1;
  }
};

TEST(ForeignCancelTest, CancelledAtAnyOccasionBothSidesEndAndNothingIsLeft) {
  int runs = 0;
  for (const testing::Occasion occasion :
       {testing::Occasion::kCheckpoint, testing::Occasion::kMount, testing::Occasion::kUnmount}) {
    for (int carriers = 1; carriers <= 2; ++carriers) {
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        for (int n = 0; !HasFailure(); ++n) {
          SCOPED_TRACE(absl::StrCat("occasion ", static_cast<int>(occasion), ", carriers ", carriers, ", seed ", seed,
                                    ", n ", n));
          const bool requested = testing::RunCancelledAt<int>(
              occasion, n, {.carriers = carriers, .seed = seed}, [] { return Program::Run(); },
              [](Subtask<int>& ended) {
                if (ended.status().ok()) {
                  EXPECT_EQ(*ended, 4);
                } else {
                  EXPECT_EQ(ended.status().code(), absl::StatusCode::kUnavailable) << ended.status();
                }
              });
          EXPECT_EQ(Counted::alive.load(), 0);
          ++runs;
          if (!requested) break;
        }
      }
    }
  }
  EXPECT_EQ(Counted::bad.load(), 0);
  EXPECT_GT(runs, 200);
}

}  // namespace
}  // namespace weft
