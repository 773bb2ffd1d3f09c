// Race() of Tasks of different types.
// expect: the tasks of Race() are of one type
#include "weft/weft.h"

weft::Task<int> Ask();
#ifdef MISUSE
weft::Task<void> Wait();
#else
weft::Task<int> Wait();
#endif

weft::Task<int> Caller() { co_return co_await weft::Race(Ask(), Wait()); }
