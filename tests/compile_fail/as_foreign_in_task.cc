// AsForeign() in a Task.
// expect: a weft::Task awaits Weft's own awaitables
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::AsForeign(weft::Yield());
#else
  co_await weft::Yield();
#endif
}
