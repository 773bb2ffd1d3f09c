// The result of a VirtualThread::Join() that nobody awaits.
// expect: co_await it: nothing was waited for, so there is no result
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(weft::VirtualThread thread) {
#ifdef MISUSE
  absl::Status ended = thread.Join();
#else
  absl::Status ended = co_await thread.Join();
#endif
  co_return ended;
}
