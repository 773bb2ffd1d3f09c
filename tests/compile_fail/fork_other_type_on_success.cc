// Fork() of a Task of another type than the scope's result.
// expect: every subtask of this scope yields the Value of its policy
#include <string>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<std::string> Ask();
#else
weft::Task<int> Ask();
#endif

weft::Task<int> Caller() {
  weft::ShutdownOnSuccess<int> scope;
  scope.Fork(Ask());
  co_return (co_await scope.Join()).value();
}
