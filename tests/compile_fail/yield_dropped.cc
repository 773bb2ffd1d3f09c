// A Yield() that nobody awaits.
// expect: co_await the yield
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Yield();
#endif
  co_await weft::Yield();
}
