// A binding in memory that is managed by hand.
// expect: a binding is a local variable
#include <new>

#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
#ifdef MISUSE
  alignas(weft::ScopedBinding<int>) char memory[sizeof(weft::ScopedBinding<int>)];
  new (memory) weft::ScopedBinding<int>(kDepth, 1);
#else
  weft::ScopedBinding<int> depth(kDepth, 1);
#endif
  co_return kDepth.Get();
}
