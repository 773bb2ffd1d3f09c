// A Pin that is gone at the end of its line.
// expect: give the Pin a name: it lasts to the end of its block
#include "weft/pin.h"
#include "weft/weft.h"
weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Pin();
#else
  const weft::Pin pin;
#endif
  co_await weft::Yield();
}
