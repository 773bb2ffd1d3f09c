// The result of a Task, taken without co_await.
// expect: no viable conversion from 'weft::Task<int>' to 'int'
#include "weft/weft.h"

weft::Task<int> Count();

weft::Task<int> Twice() {
#ifdef MISUSE
  int count = Count();
#else
  int count = co_await Count();
#endif
  co_return 2 * count;
}
