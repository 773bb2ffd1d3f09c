// What came of WithTimeout(), dropped.
// expect: ignoring return value
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::WithTimeout(absl::Seconds(1), Work());
#else
  (co_await weft::WithTimeout(absl::Seconds(1), Work())).IgnoreError();
#endif
}
