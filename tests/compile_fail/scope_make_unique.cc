// A scope in a unique_ptr.
// expect: a scope is a local variable of the coroutine that opens it
#include <memory>

#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  auto scope = std::make_unique<weft::AwaitAll>();
  (co_await scope->Join()).IgnoreFailures();
#else
  weft::AwaitAll scope;
  (co_await scope.Join()).IgnoreFailures();
#endif
}
