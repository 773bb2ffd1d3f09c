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
#include <memory>
#include <optional>
#include <ostream>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "weft/cancellation.h"
#include "weft/internal/into_task.h"
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
  static void OnEveryRuntime(absl::FunctionRef<void(Runtime&)> run);

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
Task<void> UntilParked(VirtualThread thread);

// Where a thread says who it is, for another that waits to hear.
class Introduction {
 public:
  void Make() {
    thread_.emplace(VirtualThread::Current());
    made_.Set();
  }
  Task<VirtualThread> Await();
  // Until the thread that introduced itself is parked.
  Task<void> AwaitParked();

 private:
  Event made_;
  std::optional<VirtualThread> thread_;
};

// Waits until it is cancelled.
Task<void> Forever();
// Same, after it has introduced itself.
Task<void> Forever(Introduction& introduction);

// Awaits `task`, or what can become one, and asks it to end once its thread waits: kStopRequested. (A short timeout
// instead may pass before the task has come to what it is to be cancelled in.)
template <class T>
Task<internal::StatusOrOf<T>> StopTaskOnceItWaits(Task<T> task) {
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
template <internal::IntoTask A>
auto StopOnceItWaits(A&& task) {
  return StopTaskOnceItWaits(internal::AsTask(std::move(task)));
}

// Until the current thread is asked to end, at no checkpoint: a request takes its time down the tree.
Task<void> UntilAsked();

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_ON_BOTH_H_
