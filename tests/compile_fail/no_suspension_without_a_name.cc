// A NoSuspension that is gone at the end of its line.
// expect: give the NoSuspension a name: it lasts to the end of its block
#include "weft/no_suspension.h"
#include "weft/weft.h"
weft::Task<void> Caller() {
#ifdef MISUSE
  weft::NoSuspension();
#else
  const weft::NoSuspension holds;
#endif
  co_return;
}
