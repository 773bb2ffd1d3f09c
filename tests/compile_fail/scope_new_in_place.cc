// A scope in memory that is managed by hand.
// expect: a scope is a local variable of the coroutine that opens it
#include <new>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  alignas(weft::AwaitAll) char memory[sizeof(weft::AwaitAll)];
  weft::AwaitAll& scope = *new (memory) weft::AwaitAll;
#else
  weft::AwaitAll scope;
#endif
  (co_await scope.Join()).IgnoreFailures();
}
