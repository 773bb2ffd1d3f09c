// The value of an outcome that is kept, without std::move().
// expect: 'this' argument to member function 'value' is an lvalue, but function has rvalue ref-qualifier
#include <utility>

#include "weft/weft.h"

weft::Task<int> Caller() {
  weft::ShutdownOnSuccess<int> scope;
  auto joined = co_await scope.Join();
#ifdef MISUSE
  co_return joined.value();
#else
  co_return std::move(joined).value();
#endif
}
