// A binding on the heap.
// expect: a binding is a local variable
#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
#ifdef MISUSE
  new weft::ScopedBinding<int>(kDepth, 1);
#else
  weft::ScopedBinding<int> depth(kDepth, 1);
#endif
  co_return kDepth.Get();
}
