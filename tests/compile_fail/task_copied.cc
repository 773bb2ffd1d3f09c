// Two Tasks of one.
// expect: a Task is awaited once
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
  weft::Task<int> task = Count();
#ifdef MISUSE
  weft::Task<int> again = task;
#else
  weft::Task<int> again = std::move(task);
#endif
  co_return co_await std::move(again);
}
