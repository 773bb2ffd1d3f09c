// A binding without a name, which ends at the semicolon.
// expect: a binding lasts as long as this object: give it a name
#include "weft/weft.h"

weft::ScopedValue<int> kDepth;

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::ScopedBinding(kDepth, 1);
#else
  weft::ScopedBinding depth(kDepth, 1);
#endif
  co_return kDepth.Get();
}
