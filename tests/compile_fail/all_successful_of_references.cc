// AllSuccessful<T&>: a vector has no references.
// expect: AllSuccessful<T> gives a vector of values
#include "weft/weft.h"

#ifdef MISUSE
using Element = int&;
#else
using Element = int*;
#endif

weft::Task<Element> Find();

weft::Task<void> Caller() {
  weft::AllSuccessful<Element> scope;
  scope.Fork(Find());
  (co_await scope.Join()).IgnoreFailures();
}
