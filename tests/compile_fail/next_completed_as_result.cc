// The next subtask, which nobody has waited for.
// expect: co_await it: nothing was waited for
#include <optional>

#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AsCompleted<int> scope;
#ifdef MISUSE
  std::optional<weft::Subtask<int>> next = scope.NextCompleted();
  co_return;
#else
  std::optional<weft::Subtask<int>> next = co_await scope.NextCompleted();
#endif
}
