// A MoveOnAfter() that nobody awaits.
// expect: co_await it
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<bool> Caller() {
#ifdef MISUSE
  weft::MoveOnAfter(absl::Seconds(1), Work());
#endif
  co_return co_await weft::MoveOnAfter(absl::Seconds(1), Work());
}
