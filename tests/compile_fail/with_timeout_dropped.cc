// A WithTimeout() that nobody awaits.
// expect: co_await it
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  weft::WithTimeout(absl::Seconds(1), Work());
#endif
  co_return co_await weft::WithTimeout(absl::Seconds(1), Work());
}
