// The end of a Task that should have returned a value.
// expect: non-void coroutine does not return a value
#include "weft/weft.h"

weft::Task<int> Count() {
  co_await weft::Yield();
#ifndef MISUSE
  co_return 1;
#endif
}
