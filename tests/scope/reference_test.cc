// Results that are references. Goal: they work wherever values do, and refer to the object itself. Method: a table of
// every place that a result passes, for T& and const T&.
#include <gtest/gtest.h>

#include <array>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/support/on_both.h"
#include "weft/stop_token.h"
#include "weft/weft.h"

namespace weft {
namespace {

class ReferenceTest : public testing::OnBoth {};
WEFT_ON_BOTH(ReferenceTest);

// Of a type that makes a StatusOr of a reference ambiguous, if it is made without care.
template <class T>
struct Objects {
  Task<T&> Find(int at) {
    co_await Yield();
    co_return objects[at];
  }
  std::vector<Task<T&>> FindAll() {
    std::vector<Task<T&>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(Find(i));
    return tasks;
  }
  std::remove_const_t<T> objects[3] = {};
};

template <class T>
Task<void> Everything() {
  Objects<T> in;
  T* const first = &in.objects[0];
  T* const second = &in.objects[1];
  EXPECT_EQ(&co_await in.Find(1), second);
  EXPECT_EQ(&(co_await WithTimeout(absl::Hours(1), in.Find(1)))->get(), second);
  EXPECT_EQ(&(co_await WithDeadline(Now() + absl::Hours(1), in.Find(1)))->get(), second);
  EXPECT_EQ(&(co_await MoveOnAfter(absl::Hours(1), in.Find(1)))->get(), second);
  EXPECT_EQ(&(co_await CatchCancelled(in.Find(1)))->get(), second);
  EXPECT_EQ(&(co_await WithStopToken(std::stop_token(), in.Find(1)))->get(), second);
  EXPECT_EQ(&co_await Shield(in.Find(1)), second);
  EXPECT_EQ(&co_await Shield(absl::Hours(1), in.Find(1)), second);
  EXPECT_EQ(&co_await Finally(in.Find(1), []() -> Task<void> { co_return; }), second);
  EXPECT_EQ(&co_await Any(in.Find(1), in.Find(1)), second);
  EXPECT_EQ(&co_await Race(in.Find(1), in.Find(1)), second);

  auto [one, two] = co_await All(in.Find(0), in.Find(1));
  EXPECT_EQ(&one, first);
  EXPECT_EQ(&two, second);
  auto mixed = co_await All(in.Find(0), []() -> Task<absl::Status> { co_return absl::OkStatus(); }());
  EXPECT_EQ(&std::get<0>(*mixed), first);
  auto all = co_await All(in.FindAll());
  EXPECT_EQ(&all[1].get(), second);
  auto array = co_await All(std::array{in.Find(0), in.Find(1)});
  EXPECT_EQ(&array[1].get(), second);
  auto mapped = co_await Map(std::vector<int>{0, 1}, 2, [&in](int at) { return in.Find(at); });
  EXPECT_EQ(&mapped[1].get(), second);

  ShutdownOnFailure scope;
  auto found = scope.Fork(in.Find(1));
  EXPECT_TRUE((co_await scope.Join()).ok());
  EXPECT_EQ(&*found, second);
  ShutdownOnSuccess<T&> fastest;
  fastest.Fork(in.Find(1));
  EXPECT_EQ(&(co_await fastest.Join()).value(), second);
  ShutdownOnSuccess<T&> fastest_as_status;
  fastest_as_status.Fork(in.Find(1));
  absl::StatusOr<std::reference_wrapper<T>> won = co_await fastest_as_status.Join();
  EXPECT_EQ(&won->get(), second);
  AllSuccessful<T&> successful;
  for (int i = 0; i < 3; ++i) successful.Fork(in.Find(i));
  EXPECT_EQ(&(co_await successful.Join()).value()[1].get(), second);
  AllUntil<T&> until([](const Subtask<T&>&) { return true; });
  until.Fork(in.Find(1));
  EXPECT_EQ(&*(co_await until.Join()).front(), second);
  AsCompleted<T&> completed;
  completed.Fork(in.Find(1));
  EXPECT_EQ(&**co_await completed.NextCompleted(), second);
  (co_await completed.Join()).IgnoreFailures();
}

TEST_P(ReferenceTest, WorkWhereverValuesDo) {
  Everywhere([] { return Everything<int>(); });
  Everywhere([] { return Everything<const int>(); });
}

TEST_P(ReferenceTest, ToWhatCouldBeTakenForAFailureIsNone) {
  Everywhere([]() -> Task<void> {
    const auto find = [](absl::Status& status) -> Task<absl::Status&> { co_return status; };
    absl::Status failed = absl::InternalError("an object, not a failure");
    auto found = co_await WithTimeout(absl::Hours(1), find(failed));
    EXPECT_EQ(&found.value().get(), &failed);
  });
}

TEST_P(ReferenceTest, OfARoot) {
  OnEveryRuntime([](Runtime& runtime) {
    Objects<int> in;
    EXPECT_EQ(&runtime.Run(in.Find(1)), &in.objects[1]);
    EXPECT_EQ(&runtime.TryRun(in.Find(1))->get(), &in.objects[1]);
  });
}

}  // namespace
}  // namespace weft
