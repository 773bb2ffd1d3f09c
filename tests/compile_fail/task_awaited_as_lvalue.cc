// A Task that has a name, awaited without std::move().
// expect: a Task is awaited once: co_await std::move(task)
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Caller() {
  weft::Task<int> task = Count();
#ifdef MISUSE
  co_return co_await task;
#else
  co_return co_await std::move(task);
#endif
}
