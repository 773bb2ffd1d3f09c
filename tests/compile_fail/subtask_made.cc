// A Subtask that was not forked, to be filled later.
// expect: no matching constructor for initialization of 'weft::Subtask<int>'
#include "weft/weft.h"

weft::Task<int> Ask();

weft::Task<int> Caller() {
  weft::ShutdownOnFailure scope;
#ifdef MISUSE
  weft::Subtask<int> answer;
  answer = scope.Fork(Ask());
#else
  weft::Subtask<int> answer = scope.Fork(Ask());
#endif
  (co_await scope.Join()).ThrowIfFailed();
  co_return *answer;
}
