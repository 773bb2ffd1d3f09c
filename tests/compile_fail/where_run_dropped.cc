// A call under bindings that nobody awaits.
// expect: co_await the Task, or Fork it
#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Work();

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::Where(kDepth, 1).Run(Work());
#endif
  co_return co_await weft::Where(kDepth, 1).Run(Work());
}
