// A clean-up that is a Task, and would be there before it is wanted.
// expect: the clean-up takes nothing and returns a Task<void>
#include "weft/weft.h"

weft::Task<void> Work();
weft::Task<void> CleanUp();

weft::Task<void> Caller() {
#ifdef MISUSE
  co_await weft::Finally(Work(), CleanUp());
#else
  co_await weft::Finally(Work(), CleanUp);
#endif
}
