// A wait for a latch that nobody awaits.
// expect: co_await the wait
#include "weft/sync/latch.h"
#include "weft/weft.h"

weft::Task<void> Caller(weft::Latch& latch) {
#ifdef MISUSE
  latch.Wait();
#endif
  co_await latch.Wait();
}
