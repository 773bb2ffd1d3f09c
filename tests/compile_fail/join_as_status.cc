// The outcome of a join that nobody awaits.
// expect: co_await it: nothing was waited for
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller() {
  weft::ShutdownOnFailure scope;
#ifdef MISUSE
  absl::Status joined = scope.Join();
#else
  absl::Status joined = co_await scope.Join();
#endif
  co_return joined;
}
