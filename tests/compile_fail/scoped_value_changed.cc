// A change of a bound value.
// expect: cannot assign to return value because function 'Get' returns a const value
#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
#ifdef MISUSE
  kDepth.Get() = 2;
  co_return kDepth.Get();
#else
  weft::ScopedBinding deeper(kDepth, 2);
  co_return kDepth.Get();
#endif
}
