// A Subtask, awaited as if it were a future.
// expect: a Subtask is not awaited: co_await scope.Join(), then look at it
#include "weft/weft.h"

weft::Task<int> Ask();

weft::Task<int> Caller() {
  weft::ShutdownOnFailure scope;
  auto answer = scope.Fork(Ask());
#ifdef MISUSE
  co_return co_await answer;
#else
  (co_await scope.Join()).ThrowIfFailed();
  co_return *answer;
#endif
}
