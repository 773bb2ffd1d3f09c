// WithTimeout() of a closure that has a name and cannot be copied.
// expect: a closure that cannot be copied must be moved
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<absl::Status> Caller() {
  auto closure = [number = std::make_unique<int>(1)] { return Step(*number); };
#ifdef MISUSE
  co_return co_await weft::WithTimeout(absl::Seconds(1), closure);
#else
  co_return co_await weft::WithTimeout(absl::Seconds(1), std::move(closure));
#endif
}
