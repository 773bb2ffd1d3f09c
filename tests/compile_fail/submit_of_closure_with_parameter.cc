// A closure with a parameter, submitted.
// expect: Submit() takes a Task, moved, or a closure without parameters
#include "weft/executor/executor.h"
#include "weft/weft.h"

weft::Future<int> Caller(weft::Executor& executor) {
#ifdef MISUSE
  return executor.Submit([](int value) { return value; });
#else
  return executor.Submit([] { return 1; });
#endif
}
