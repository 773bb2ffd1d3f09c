// A Finally() that nobody awaits.
// expect: co_await the Task, or Fork it
#include "weft/weft.h"

weft::Task<void> Work();
weft::Task<void> CleanUp();

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Finally(Work(), CleanUp);
#endif
  co_await weft::Finally(Work(), CleanUp);
}
