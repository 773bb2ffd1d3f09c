// A WithDeadline() that nobody awaits.
// expect: co_await it
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller(absl::Time deadline) {
#ifdef MISUSE
  weft::WithDeadline(deadline, Work());
#endif
  co_return co_await weft::WithDeadline(deadline, Work());
}
