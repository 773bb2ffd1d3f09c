// A Close() that nobody awaits.
// expect: co_await it
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.Close();
#endif
  co_await scope.Close();
}
