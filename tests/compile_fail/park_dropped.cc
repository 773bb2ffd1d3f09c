// A VirtualThread::Park() that nobody awaits.
// expect: co_await the park
#include "weft/weft.h"

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::VirtualThread::Park();
#endif
  co_await weft::VirtualThread::Park();
}
