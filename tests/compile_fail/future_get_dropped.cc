// A Get() that nobody awaits.
// expect: co_await it
#include "weft/executor/future.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Future<int> future) {
#ifdef MISUSE
  future.Get();
#endif
  co_await future.Get();
}
