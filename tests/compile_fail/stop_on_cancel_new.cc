// A StopOnCancel on the heap.
// expect: it is a local variable of a coroutine
#include "weft/stop_token.h"
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  auto* stop = new weft::StopOnCancel();
  static_cast<void>(stop->token());
#else
  weft::StopOnCancel stop;
  static_cast<void>(stop.token());
#endif
  co_await weft::Yield();
}
