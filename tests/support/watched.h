// A test with I/O in a simulation that hangs: it fails after some seconds, and ends.
//
// A simulation sees a deadlock by itself, but not while an operation is in flight: the kernel may still end it.
#ifndef WEFT_TESTS_SUPPORT_WATCHED_H_
#define WEFT_TESTS_SUPPORT_WATCHED_H_

#include <utility>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {

// Awaits `task`. Each moment that it waits, the kernel has 200 us to answer.
inline Task<void> Watched(Task<void> task) {
  constexpr int kMoments = 20'000;
  AwaitAll scope;
  scope.ForkDaemon([&scope]() -> Task<void> {
    for (int i = 0; i < kMoments; ++i) co_await Sleep(absl::Milliseconds(1));
    ADD_FAILURE() << "it hangs";
    scope.Shutdown();
  });
  scope.Fork(std::move(task));
  (co_await scope.Join()).IgnoreFailures();
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_WATCHED_H_
