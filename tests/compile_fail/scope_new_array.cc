// Scopes on the heap.
// expect: a scope is a local variable of the coroutine that opens it
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  auto* scopes = new weft::AwaitAll[2];
#else
  weft::AwaitAll scopes[2];
#endif
  (co_await scopes[1].Join()).IgnoreFailures();
  (co_await scopes[0].Join()).IgnoreFailures();
}
