// co_await of a function that is not called.
// expect: a weft::Task awaits Weft's own awaitables
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await Work;
#else
  co_await Work();
#endif
}
