// A permit with a name, which has not been acquired.
// expect: // co_await the permit
// where: __clang_major__ >= 22
#include "weft/weft.h"

weft::Task<void> Caller(weft::Semaphore& semaphore) {
#ifdef MISUSE
  [[maybe_unused]] auto permit = semaphore.Acquire();
  co_return;
#else
  auto permit = co_await semaphore.Acquire();
#endif
}
