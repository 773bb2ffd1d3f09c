// A Task with a name that refers to a temporary, which is gone when the Task is awaited.
// expect: will be destroyed at the end of the full-expression
#include <string>
#include <utility>

#include "weft/weft.h"

std::string Name();
weft::Task<int> Ask(const std::string& name [[clang::lifetimebound]]);

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::Task<int> answer = Ask(Name());
#else
  const std::string name = Name();
  weft::Task<int> answer = Ask(name);
#endif
  co_return co_await std::move(answer);
}
