// A Start() that nobody awaits.
// expect: co_await the Task, or Fork it
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<void> Service(weft::Ready ready);

weft::Task<absl::Status> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Start(Service);
#endif
  co_return (co_await scope.Start(Service)).status();
}
