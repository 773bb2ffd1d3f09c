// A Close() that was to give its value back, and that nobody awaits.
// expect: co_await it
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(absl::Status status) {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Close(status);
  co_return status;
#else
  co_return co_await scope.Close(status);
#endif
}
