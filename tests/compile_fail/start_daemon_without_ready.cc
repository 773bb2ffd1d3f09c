// A service that has nothing to say that it is ready with.
// expect: a service takes a weft::Ready and returns a Task
#include "absl/status/status.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Task<void> Service();
#else
weft::Task<void> Service(weft::Ready ready);
#endif

weft::Task<absl::Status> Caller() {
  weft::AwaitAll scope;
  co_return (co_await scope.StartDaemon(Service)).status();
}
