// The value of a Subtask<void>.
// expect: variable has incomplete type
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
  weft::ShutdownOnFailure scope;
  auto work = scope.Fork(Work());
  (co_await scope.Join()).ThrowIfFailed();
#ifdef MISUSE
  auto value = *work;
#else
  *work;
#endif
}
