// A WithTimeout() of so many, nobody says of what.
// expect: no known conversion from 'int' to 'TimeSpan'
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<absl::Status> Caller() {
#ifdef MISUSE
  co_return co_await weft::WithTimeout(2, Work());
#else
  co_return co_await weft::WithTimeout(absl::Seconds(2), Work());
#endif
}
