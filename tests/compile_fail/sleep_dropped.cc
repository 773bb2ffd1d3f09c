// A Sleep() that nobody awaits.
// expect: co_await the sleep
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Sleep(absl::Seconds(1));
#endif
  co_await weft::Sleep(absl::Seconds(1));
}
