// WithTimeout() of a closure: it takes a Task.
// expect: pass a Task, or something that a Task can await
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  co_return co_await weft::WithTimeout(absl::Seconds(1), [] { return Work(); });
#else
  co_return co_await weft::WithTimeout(absl::Seconds(1), Work());
#endif
}
