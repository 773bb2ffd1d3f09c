// A VirtualThread::Join() that nobody awaits.
// expect: co_await the join
#include "weft/weft.h"

weft::Task<void> Caller(weft::VirtualThread thread) {
#ifdef MISUSE
  thread.Join();
#endif
  (co_await thread.Join()).IgnoreError();
}
