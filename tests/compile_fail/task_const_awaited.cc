// A const Task that is awaited.
// expect: a const Task cannot be awaited
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Twice() {
#ifdef MISUSE
  const weft::Task<int> count = Count();
#else
  weft::Task<int> count = Count();
#endif
  co_return 2 * co_await std::move(count);
}
