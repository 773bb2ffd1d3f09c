// Race() of Tasks of different types.
// expect: all tasks of Race() must have the same type
#include "weft/weft.h"

weft::Task<int> Ask();
#ifdef MISUSE
weft::Task<void> Wait();
#else
weft::Task<int> Wait();
#endif

weft::Task<int> Caller() { co_return co_await weft::Race(Ask(), Wait()); }
