// A MapSettled() that nobody awaits.
// expect: co_await the Task, or Fork it: a Task that is dropped never runs
#include <vector>

#include "weft/weft.h"

weft::Task<int> Fetch(int number);

weft::Task<void> Caller(const std::vector<int>& numbers) {
#ifdef MISUSE
  weft::MapSettled(numbers, 2, [](int number) { return Fetch(number); });
#else
  co_await weft::MapSettled(numbers, 2, [](int number) { return Fetch(number); });
#endif
  co_return;
}
