// A CatchCancelled() that nobody awaits.
// expect: co_await it
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  weft::CatchCancelled(Work());
#endif
  co_return co_await weft::CatchCancelled(Work());
}
