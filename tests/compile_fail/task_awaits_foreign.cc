// A foreign awaitable, in a Task.
// expect: a weft::Task awaits Weft's own awaitables; this one does not know how to park a virtual thread
#include <coroutine>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await std::suspend_always();
#else
  co_await weft::Yield();
#endif
}
