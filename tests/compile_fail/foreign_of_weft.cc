// Foreign() of what is Weft's own.
// expect: this is Weft's own awaitable: co_await it directly
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::Foreign(weft::Yield());
#else
  co_await weft::Yield();
#endif
}
