// A wait that nobody awaits.
// expect: co_await the wait
#include "weft/weft.h"

weft::Task<void> Caller(weft::Event& event) {
#ifdef MISUSE
  event.Wait();
#endif
  co_await event.Wait();
}
