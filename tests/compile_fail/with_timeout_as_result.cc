// The result of a WithTimeout() that nobody awaits.
// expect: co_await it: nothing was waited for
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  absl::StatusOr<int> count = weft::WithTimeout(absl::Seconds(1), Count());
#else
  absl::StatusOr<int> count = co_await weft::WithTimeout(absl::Seconds(1), Count());
#endif
  co_return count.status();
}
