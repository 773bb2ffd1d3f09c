// Any() of Tasks of different types.
// expect: all tasks of Any() must have the same type
#include <string>

#include "weft/weft.h"

weft::Task<int> Ask();
#ifdef MISUSE
weft::Task<std::string> AskAgain();
#else
weft::Task<int> AskAgain();
#endif

weft::Task<int> Caller() { co_return co_await weft::Any(Ask(), AskAgain()); }
