// A scope on the heap, or nothing.
// expect: a scope is a local variable of the coroutine that opens it
#include <new>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::AwaitAll& scope = *new (std::nothrow) weft::AwaitAll;
#else
  weft::AwaitAll scope;
#endif
  (co_await scope.Join()).IgnoreFailures();
}
