// WithTimeout() of a closure that wants an argument.
// expect: or a closure without parameters that returns one
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  co_return co_await weft::WithTimeout(absl::Seconds(1), [](int) { return Work(); });
#else
  co_return co_await weft::WithTimeout(absl::Seconds(1), Work());
#endif
}
