// co_await of a function that is not a coroutine.
// expect: a weft::Task awaits Weft's own awaitables
#include "weft/weft.h"

#ifdef MISUSE
int Count();
#else
weft::Task<int> Count();
#endif

weft::Task<int> Caller() { co_return co_await Count(); }
