// A Foreign() that is not awaited.
// expect: co_await the Task, or Fork it: a Task that is dropped never runs
#include <coroutine>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Foreign(std::suspend_never());
#else
  co_await weft::Foreign(std::suspend_never());
#endif
  co_return;
}
