// A binding in a unique_ptr.
// expect: a binding is a local variable
#include <memory>

#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
#ifdef MISUSE
  auto depth = std::make_unique<weft::ScopedBinding<int>>(kDepth, 1);
#else
  weft::ScopedBinding<int> depth(kDepth, 1);
#endif
  co_return kDepth.Get();
}
