// A clean-up that returns no Task: a destructor would do.
// expect: the clean-up takes nothing and returns a Task<void>
#include "weft/weft.h"

weft::Task<void> Work();
#ifdef MISUSE
void CleanUp();
#else
weft::Task<void> CleanUp();
#endif

weft::Task<void> Caller() { co_await weft::Finally(Work(), CleanUp); }
