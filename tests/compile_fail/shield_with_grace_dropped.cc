// A shield that is not awaited.
// expect: co_await it
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> CleanUp();

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Shield(absl::Seconds(1), CleanUp());
#else
  co_await weft::Shield(absl::Seconds(1), CleanUp());
#endif
  co_return;
}
