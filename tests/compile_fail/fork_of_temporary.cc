// Fork() of a Task that refers to a temporary, which is gone when the child runs.
// expect: captured by 'scope' will be destroyed at the end of the full-expression
// where: __has_cpp_attribute(clang::lifetime_capture_by)
#include <string>

#include "weft/weft.h"

std::string Name();
weft::Task<int> Ask(const std::string& name [[clang::lifetimebound]]);

weft::Task<int> Caller() {
  weft::ShutdownOnFailure scope;
#ifdef MISUSE
  auto answer = scope.Fork(Ask(Name()));
#else
  const std::string name = Name();
  auto answer = scope.Fork(Ask(name));
#endif
  (co_await scope.Join()).IgnoreFailures();
  co_return *answer + co_await Ask(Name());
}
