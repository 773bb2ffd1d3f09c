// A Sleep() of so many, nobody says of what.
// expect: no viable conversion from 'int' to 'TimeSpan'
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::Sleep(10);
#else
  co_await weft::Sleep(absl::Milliseconds(10));
#endif
}
