// A clean-up whose status nobody would see.
// expect: the clean-up takes nothing and returns a Task<void>
#include "absl/status/status.h"
#include "weft/weft.h"

weft::Task<void> Work();
#ifdef MISUSE
weft::Task<absl::Status> CleanUp();
#else
weft::Task<void> CleanUp();
#endif

weft::Task<void> Caller() { co_await weft::Finally(Work(), CleanUp); }
