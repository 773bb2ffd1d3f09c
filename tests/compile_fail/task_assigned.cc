// A Task assigned from one that has a name, without std::move().
// expect: a Task is awaited once
#include <utility>

#include "weft/weft.h"

weft::Task<int> Count(int from);

weft::Task<int> Caller() {
  weft::Task<int> first = Count(1);
  weft::Task<int> second = Count(2);
#ifdef MISUSE
  first = second;
#else
  first = std::move(second);
#endif
  co_return co_await std::move(first);
}
