// However many there are. Children are asked to end some at a time (64), kept in chunks, woken in rows: what holds for
// one holds for one less than a batch, for a batch, for one more, and for more than a thousand. Goal: whatever ends
// them, each child is begun once and ends once, and the owner goes on after the last. Method: a table of ways, by
// numbers of children, in simulations and on carriers.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <ostream>
#include <ranges>
#include <stop_token>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/counted.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/cancellation.h"
#include "weft/for_each.h"
#include "weft/race.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::Counted;
using testing::Place;

// Children that wait, and whoever ends them when all of them do.
struct Crowd {
  explicit Crowd(int size) : count(size) {}

  // Waits for `event`; noted down when it begins and when it goes, in whatever way.
  Task<absl::Status> Wait(Event& event) {
    struct Life {
      explicit Life(Crowd& of) : crowd(of) {
        if (++crowd.begun == crowd.count) crowd.all_begun.Set();
      }
      ~Life() { ++crowd.ended; }
      Crowd& crowd;
    } const life(*this);
    const Counted local;
    co_await event.Wait();
    ++woken;
    co_return absl::OkStatus();
  }
  Task<absl::Status> Wait() { return Wait(never); }

  std::vector<Task<absl::Status>> Waits() {
    std::vector<Task<absl::Status>> tasks;
    for (int i = 0; i < count; ++i) tasks.push_back(Wait());
    return tasks;
  }
  template <class Scope>
  void ForkInto(Scope& scope) {
    for (int i = 0; i < count; ++i) scope.Fork(Wait());
  }

  const int count;
  std::atomic<int> begun = 0, ended = 0, woken = 0;
  Event never, all_begun;
};

Task<void> StopWhenAllHaveBegun(Crowd& crowd, std::stop_source source) {
  co_await crowd.all_begun.Wait();
  source.request_stop();
}

// Awaits `task`, and asks it to end when all have begun.
Task<void> Stop(Crowd& crowd, Task<absl::Status> task) {
  std::stop_source source;
  AwaitAll scope;
  scope.Fork(StopWhenAllHaveBegun(crowd, source));
  EXPECT_EQ((co_await WithStopToken(source.get_token(), std::move(task))).code(), absl::StatusCode::kCancelled);
  (co_await scope.Join()).IgnoreFailures();
}

Task<absl::Status> FailWhenAllHaveBegun(Crowd& crowd) {
  co_await crowd.all_begun.Wait();
  co_return absl::DataLossError("as planned");
}

// ---- The ways.

Task<void> AnAllThatIsCancelled(Crowd& crowd) {
  return Stop(crowd, [](Crowd& of) -> Task<absl::Status> { co_return co_await All(of.Waits()); }(crowd));
}
Task<void> AnAllThatFails(Crowd& crowd) {
  std::vector<Task<absl::Status>> tasks = crowd.Waits();
  tasks.push_back(FailWhenAllHaveBegun(crowd));
  EXPECT_EQ((co_await All(std::move(tasks))).code(), absl::StatusCode::kDataLoss);
}
Task<void> ARace(Crowd& crowd) {
  std::vector<Task<absl::Status>> tasks = crowd.Waits();
  tasks.push_back(FailWhenAllHaveBegun(crowd));
  EXPECT_EQ((co_await Race(std::move(tasks))).code(), absl::StatusCode::kDataLoss);
}
Task<void> AForEach(Crowd& crowd) {
  return Stop(crowd, [](Crowd& of) -> Task<absl::Status> {
    co_return co_await ForEach(std::views::iota(0, of.count), of.count, [&of](int) { return of.Wait(); });
  }(crowd));
}
Task<void> AMap(Crowd& crowd) {
  return Stop(crowd, [](Crowd& of) -> Task<absl::Status> {
    co_return (co_await Map(std::views::iota(0, of.count), of.count, [&of](int i) -> Task<absl::StatusOr<int>> {
      const absl::Status waited = co_await of.Wait();
      if (!waited.ok()) co_return waited;
      co_return i;
    })).status();
  }(crowd));
}
Task<void> AScopeThatIsShutDown(Crowd& crowd) {
  AwaitAll scope;
  crowd.ForkInto(scope);
  co_await crowd.all_begun.Wait();
  scope.Shutdown();
  EXPECT_TRUE((co_await scope.Join()).ok());
}
Task<void> AScopeThatIsShutDownByAChild(Crowd& crowd) {
  AwaitAll scope;
  crowd.ForkInto(scope);
  scope.Fork([&]() -> Task<void> {
    co_await crowd.all_begun.Wait();
    scope.Shutdown();
  });
  EXPECT_TRUE((co_await scope.Join()).ok());
}
// A join that may be given up, which waits in another way.
Task<void> AScopeThatIsShutDownUnderAJoinWithATimeout(Crowd& crowd) {
  AwaitAll scope;
  crowd.ForkInto(scope);
  scope.Fork([&]() -> Task<void> {
    co_await crowd.all_begun.Wait();
    scope.Shutdown();
  });
  EXPECT_TRUE((co_await scope.JoinFor(absl::Hours(1))).has_value());
}
Task<void> AScopeThatIsClosed(Crowd& crowd) {
  AwaitAll scope;
  crowd.ForkInto(scope);
  co_await crowd.all_begun.Wait();
  co_await scope.Close();
}
Task<void> AScopeThatIsLeft(Crowd& crowd) {
  AwaitAll scope;
  crowd.ForkInto(scope);
  co_await crowd.all_begun.Wait();
}
Task<void> AScopeThatIsCancelled(Crowd& crowd) {
  return Stop(crowd, [](Crowd& of) -> Task<absl::Status> {
    AwaitAll scope;
    of.ForkInto(scope);
    co_return co_await scope.Join();
  }(crowd));
}
Task<void> AScopeWhoseChildFails(Crowd& crowd) {
  ShutdownOnFailure scope;
  crowd.ForkInto(scope);
  scope.Fork(FailWhenAllHaveBegun(crowd));
  EXPECT_EQ((co_await scope.Join()).status().code(), absl::StatusCode::kDataLoss);
}
Task<void> Daemons(Crowd& crowd) {
  AwaitAll scope;
  for (int i = 0; i < crowd.count; ++i) {
    scope.ForkDaemon([&crowd]() -> Task<void> { (co_await crowd.Wait()).IgnoreError(); });
  }
  co_await crowd.all_begun.Wait();
  EXPECT_TRUE((co_await scope.Join()).ok());
}

// Nobody is cancelled here: all are served.
template <class Wait>
Task<void> AllAreServed(Crowd& crowd, Wait wait, Event& go) {
  AwaitAll scope;
  for (int i = 0; i < crowd.count; ++i) scope.Fork(wait());
  co_await crowd.all_begun.Wait();
  go.Set();
  EXPECT_TRUE((co_await scope.Join()).ok());
  EXPECT_EQ(crowd.woken, crowd.count);
}
Task<void> AnEvent(Crowd& crowd) {
  Event go;
  co_await AllAreServed(crowd, [&] { return crowd.Wait(go); }, go);
}
Task<void> AMutex(Crowd& crowd) {
  Mutex mutex;
  Event go;
  int inside = 0;
  co_await AllAreServed(
      crowd,
      [&]() -> Task<absl::Status> {
        const absl::Status waited = co_await crowd.Wait(go);
        const MutexGuard guard = co_await mutex.Lock();
        EXPECT_EQ(++inside, 1);
        co_await Yield();
        --inside;
        co_return waited;
      },
      go);
}
Task<void> ASemaphore(Crowd& crowd) {
  constexpr int kPermits = 2;
  Semaphore semaphore(kPermits);
  Event go;
  std::atomic<int> inside = 0;
  co_await AllAreServed(
      crowd,
      [&]() -> Task<absl::Status> {
        const absl::Status waited = co_await crowd.Wait(go);
        const Permit permit = co_await semaphore.Acquire();
        EXPECT_LE(++inside, kPermits);
        co_await Yield();
        --inside;
        co_return waited;
      },
      go);
}

struct Way {
  const char* name;
  Task<void> (*end)(Crowd&);

  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};
constexpr Way kWays[] = {
    {"AnAllThatIsCancelled", AnAllThatIsCancelled},
    {"AnAllThatFails", AnAllThatFails},
    {"ARace", ARace},
    {"AForEach", AForEach},
    {"AMap", AMap},
    {"AScopeThatIsShutDown", AScopeThatIsShutDown},
    {"AScopeThatIsShutDownByAChild", AScopeThatIsShutDownByAChild},
    {"AScopeThatIsShutDownUnderAJoinWithATimeout", AScopeThatIsShutDownUnderAJoinWithATimeout},
    {"AScopeThatIsClosed", AScopeThatIsClosed},
    {"AScopeThatIsLeft", AScopeThatIsLeft},
    {"AScopeThatIsCancelled", AScopeThatIsCancelled},
    {"AScopeWhoseChildFails", AScopeWhoseChildFails},
    {"Daemons", Daemons},
    {"AnEvent", AnEvent},
    {"AMutex", AMutex},
    {"ASemaphore", ASemaphore},
};

class ManyTest : public ::testing::TestWithParam<std::tuple<Way, Place>> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, ManyTest,
                         ::testing::Combine(::testing::ValuesIn(kWays),
                                            ::testing::Values(Place{true, 1}, Place{true, 3}, Place{false, 1},
                                                              Place{false, 2}, Place{false, 4})),
                         [](const ::testing::TestParamInfo<std::tuple<Way, Place>>& info) {
                           return absl::StrCat(std::get<Way>(info.param).name,
                                               ::testing::PrintToString(std::get<Place>(info.param)));
                         });

// One after another in a runtime, so that the next meets what the last has left.
TEST_P(ManyTest, EachIsBegunOnceAndEndsOnceWhateverEndsThem) {
  const auto& [way, place] = GetParam();
  auto run = [&way = way](Runtime& runtime) {
    for (const int count : {1, 63, 64, 65, 129, 1'025, 2'049, 64}) {
      SCOPED_TRACE(count);
      Counted::alive = 0;
      Crowd crowd(count);
      runtime.Run([](const Way& of, Crowd& crowd) -> Task<void> {
        co_await of.end(crowd);
        EXPECT_EQ(crowd.ended, crowd.count) << "the owner goes on after the last";
      }(way, crowd));
      EXPECT_EQ(crowd.begun, count);
      EXPECT_EQ(crowd.ended, count);
      EXPECT_EQ(Counted::alive, 0);
      if (::testing::Test::HasFailure()) return;
    }
  };
  if (place.simulated) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      SCOPED_TRACE(absl::StrCat("seed ", seed));
      testing::Simulation simulation({.carriers = place.carriers, .seed = seed});
      run(simulation.runtime());
    }
  } else {
    run(*Runtime::Create({.parallelism = place.carriers}).value());
  }
}

}  // namespace
}  // namespace weft
