#include "tests/support/on_both.h"

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "weft/cancellation.h"
#include "weft/runtime.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

void OnBoth::OnEveryRuntime(absl::FunctionRef<void(Runtime&)> run) {
  if (simulated()) {
    for (uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
      SCOPED_TRACE(absl::StrCat("seed ", seed));
      Simulation simulation({.carriers = carriers(), .seed = seed});
      run(simulation.runtime());
    }
  } else {
    // As many carriers as it says, also if a body computes for long: no spare ones for those that are held.
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
        Runtime::Create({.parallelism = carriers(), .held_carrier_threshold = absl::ZeroDuration()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    for (int round = 0; round < kRounds && !HasFailure(); ++round) run(**runtime);
  }
}

Task<void> UntilParked(VirtualThread thread) {
  while (thread.state() == VirtualThread::State::kRunnable) co_await Yield();
}

Task<VirtualThread> Introduction::Await() {
  co_await made_.Wait();
  co_return *thread_;
}

Task<void> Introduction::AwaitParked() { co_await UntilParked(co_await Await()); }

Task<void> Forever() {
  Event never;
  co_await never.Wait();
}

Task<void> Forever(Introduction& introduction) {
  introduction.Make();
  co_await Forever();
}

Task<void> UntilAsked() {
  while (!CancelRequested()) co_await Shield([]() -> Task<void> { co_await Yield(); }());
}

}  // namespace weft::testing
