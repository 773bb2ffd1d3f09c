// Race() of a vector of Tasks that cannot be moved out of it.
// expect: the tasks are moved out of the range, so it must not be const
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
using Tasks = const std::vector<weft::Task<int>>;
#else
using Tasks = std::vector<weft::Task<int>>;
#endif

weft::Task<int> Caller(Tasks& tasks) { co_return co_await weft::Race(tasks); }
