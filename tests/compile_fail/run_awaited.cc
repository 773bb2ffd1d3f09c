// Run(), which blocks an OS thread, in a Task.
// expect: a weft::Task awaits Weft's own awaitables
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
#ifdef MISUSE
  co_return co_await weft::Run(Count());
#else
  co_return co_await Count();
#endif
}
