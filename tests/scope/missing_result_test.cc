// A coroutine that ends without a co_return. Goal: it is a CHECK in every build that says so, whoever waits for the
// result. Method: a table of those who wait. The compiler's own warning is off here.
#include <gtest/gtest.h>

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace weft {
namespace {

template <class T>
Task<T> Nothing(bool wait) {
  if (wait) co_await Yield();
}

template <class T, bool kWait>
Task<void> Awaited() {
  static_cast<void>(co_await Nothing<T>(kWait));
}
template <class T, bool kWait>
Task<void> Bounded() {
  static_cast<void>(co_await WithTimeout(absl::Hours(1), Nothing<T>(kWait)));
}
template <class T, bool kWait>
Task<void> MovedOn() {
  static_cast<void>(co_await MoveOnAfter(absl::Hours(1), Nothing<T>(kWait)));
}
template <class T, bool kWait>
Task<void> Caught() {
  static_cast<void>(co_await CatchCancelled(Nothing<T>(kWait)));
}
template <class T, bool kWait>
Task<void> Shielded() {
  static_cast<void>(co_await Shield(Nothing<T>(kWait)));
}
template <class T, bool kWait>
Task<void> Cleaned() {
  static_cast<void>(co_await Finally(Nothing<T>(kWait), []() -> Task<void> { co_return; }));
}
template <class T, bool kWait>
Task<void> Forked() {
  AwaitAll scope;
  scope.Fork(Nothing<T>(kWait));
  (co_await scope.Join()).IgnoreFailures();
}
template <class T, bool kWait>
Task<void> BranchOfTwo() {
  static_cast<void>(co_await All(Nothing<T>(kWait), Nothing<T>(kWait)));
}
template <class T, bool kWait>
Task<void> BranchOfSome() {
  std::vector<Task<T>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(Nothing<T>(kWait));
  static_cast<void>(co_await All(std::move(tasks)));
}
template <class T, bool kWait>
Task<void> Raced() {
  static_cast<void>(co_await Race(Nothing<T>(kWait), Nothing<T>(kWait)));
}

template <class T>
void Try(const std::string& name) {
  Task<void> (*const all[])() = {
      &Awaited<T, false>,     &Awaited<T, true>,      &Bounded<T, false>,  &Bounded<T, true>,   &MovedOn<T, false>,
      &MovedOn<T, true>,      &Caught<T, false>,      &Caught<T, true>,    &Shielded<T, false>, &Shielded<T, true>,
      &Cleaned<T, false>,     &Cleaned<T, true>,      &Forked<T, false>,   &Forked<T, true>,    &BranchOfTwo<T, false>,
      &BranchOfTwo<T, true>,  &BranchOfSome<T, false>, &BranchOfSome<T, true>, &Raced<T, false>, &Raced<T, true>,
  };
  int place = 0;
  for (auto* const each : all) {
    SCOPED_TRACE(place++);
    EXPECT_DEATH(
        {
          testing::Simulation simulation({.carriers = 1, .seed = 1});
          simulation.Run(each());
        },
        "a coroutine that returns a weft::Task<" + name +
            "> has ended without a co_return; every way through it needs one");
  }
}

TEST(MissingResultDeathTest, AValue) { Try<int>("int"); }
TEST(MissingResultDeathTest, AReference) { Try<int&>("int ?&"); }
TEST(MissingResultDeathTest, AStatus) { Try<absl::Status>("absl::.*Status"); }
TEST(MissingResultDeathTest, AStatusOr) { Try<absl::StatusOr<std::string>>("absl::.*StatusOr<.*string.*>"); }

TEST(MissingResultDeathTest, OfARoot) {
  EXPECT_DEATH(
      {
        testing::Simulation simulation({.carriers = 1, .seed = 1});
        simulation.runtime().Run(Nothing<int>(true));
      },
      "a coroutine that returns a weft::Task<int> has ended without a co_return");
}

}  // namespace
}  // namespace weft
