// A copy of a StopOnCancel.
// expect: neither copied nor moved
#include "weft/stop_token.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
  weft::StopOnCancel stop;
#ifdef MISUSE
  weft::StopOnCancel same = stop;
#else
  weft::StopOnCancel& same = stop;
#endif
  static_cast<void>(same.token());
  co_await weft::Yield();
}
