// One coroutine body, run everywhere: in simulations of one to three carriers under many seeds, and on runtimes of one,
// two and four carriers. A test of it says what holds whatever the order of events.
//
//   TEST_P(ScopeTest, JoinWaitsForAll) {
//     Everywhere([]() -> Task<void> { ... EXPECT_EQ(...); });
//   }
//   WEFT_ON_BOTH(ScopeTest);
//
// The body is called once for each run, and its Task run as a root. Expectations work within it; assertions, which
// return, do not compile. Order what has to be ordered by events, locks and UntilParked(), never by sleeping.
#ifndef WEFT_TESTS_SUPPORT_ON_BOTH_H_
#define WEFT_TESTS_SUPPORT_ON_BOTH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/stop_token.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

struct Place {
  bool simulated;
  int carriers;

  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << (place.simulated ? "Simulated" : "Real") << place.carriers;
  }
};

class OnBoth : public ::testing::TestWithParam<Place> {
 protected:
  static constexpr uint64_t kSeeds = 50;
  static constexpr int kRounds = 10;

  static bool simulated() { return GetParam().simulated; }
  static int carriers() { return GetParam().carriers; }

  // Calls run(runtime) for every run there is.
  static void OnEveryRuntime(const std::function<void(Runtime&)>& run) {
    if (simulated()) {
      for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
        SCOPED_TRACE(absl::StrCat("seed ", seed));
        Simulation simulation({.carriers = carriers(), .seed = seed});
        run(simulation.runtime());
      }
    } else {
      const absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.parallelism = carriers()});
      ASSERT_TRUE(runtime.ok()) << runtime.status();
      for (int round = 0; round < kRounds && !HasFailure(); ++round) run(**runtime);
    }
  }

  template <class Body>
  static void Everywhere(Body body) {
    OnEveryRuntime([&body](Runtime& runtime) { runtime.Run(body()); });
  }
};

#define WEFT_ON_BOTH(Suite)                                                                                       \
  INSTANTIATE_TEST_SUITE_P(Everywhere, Suite,                                                                     \
                           ::testing::Values(::weft::testing::Place{true, 1}, ::weft::testing::Place{true, 2},    \
                                             ::weft::testing::Place{true, 3}, ::weft::testing::Place{false, 1},   \
                                             ::weft::testing::Place{false, 2}, ::weft::testing::Place{false, 4}), \
                           ::testing::PrintToStringParamName())

// Yields until `thread` waits for something, or has ended.
inline Task<void> UntilParked(VirtualThread thread) {
  while (thread.state() == VirtualThread::State::kRunnable) co_await Yield();
}

// Where a thread says who it is, for another that waits to hear.
class Introduction {
 public:
  void Make() {
    thread_.emplace(VirtualThread::Current());
    made_.Set();
  }
  Task<VirtualThread> Await() {
    co_await made_.Wait();
    co_return *thread_;
  }
  // Until the thread that introduced itself is parked.
  Task<void> AwaitParked() { co_await UntilParked(co_await Await()); }

 private:
  Event made_;
  std::optional<VirtualThread> thread_;
};

// Waits until it is cancelled.
inline Task<void> Forever() {
  Event never;
  co_await never.Wait();
}
// Same, after it has introduced itself.
inline Task<void> Forever(Introduction& introduction) {
  introduction.Make();
  co_await Forever();
}

// Awaits `task`, and asks it to end once its thread waits: kStopRequested. (A short timeout instead may pass before the
// task has come to what it is to be cancelled in.)
template <class T>
Task<internal::StatusOrOf<T>> StopOnceItWaits(Task<T> task) {
  std::stop_source source;
  AwaitAll scope;
  scope.Fork([thread = VirtualThread::Current(), source]() mutable -> Task<void> {
    co_await UntilParked(thread);
    source.request_stop();
  });
  auto done = co_await WithStopToken(source.get_token(), std::move(task));
  (co_await scope.Join()).IgnoreFailures();
  co_return done;
}

// Until the current thread is asked to end, at no checkpoint: a request takes its time down the tree.
inline Task<void> UntilAsked() {
  while (!CancelRequested()) co_await Shield([]() -> Task<void> { co_await Yield(); }());
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_ON_BOTH_H_
