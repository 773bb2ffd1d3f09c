// A scope on the heap.
// expect: a scope is a local variable of the coroutine that opens it
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  auto* scope = new weft::AwaitAll();
  (co_await scope->Join()).IgnoreFailures();
#else
  weft::AwaitAll scope;
  (co_await scope.Join()).IgnoreFailures();
#endif
}
