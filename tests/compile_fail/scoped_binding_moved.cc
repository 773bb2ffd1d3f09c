// A binding that is moved.
// expect: neither copied nor moved
#include <utility>

#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
  weft::ScopedBinding depth(kDepth, 1);
#ifdef MISUSE
  auto again = std::move(depth);
#else
  weft::ScopedBinding again(kDepth, 1);
#endif
  co_return kDepth.Get();
}
