// Bindings for a call, and no call.
// expect: call .Run(task)
#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Work();

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::Where(kDepth, 1);
#endif
  co_return co_await weft::Where(kDepth, 1).Run(Work());
}
