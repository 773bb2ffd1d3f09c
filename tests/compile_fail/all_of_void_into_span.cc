// All() of tasks without results, into a span.
// expect: tasks with results are wanted
#include <span>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
using Result = void;
#else
using Result = int;
#endif

weft::Task<void> Caller(std::vector<weft::Task<Result>> tasks, std::span<int> results) {
  co_await weft::All(tasks, results);
}
