// A member of the value of a Subtask<void>.
// expect: '!std::is_void_v<void>' evaluated to false
#include <cstddef>
#include <string>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<void> Name();
#else
weft::Task<std::string> Name();
#endif

weft::Task<size_t> Caller() {
  weft::ShutdownOnFailure scope;
  auto name = scope.Fork(Name());
  (co_await scope.Join()).ThrowIfFailed();
  co_return name->size();
}
