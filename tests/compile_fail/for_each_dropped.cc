// A ForEach() that nobody awaits.
// expect: co_await the Task, or Fork it
#include <vector>

#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<void> Caller(std::vector<int> numbers) {
#ifdef MISUSE
  weft::ForEach(numbers, 8, Step);
#endif
  co_await weft::ForEach(numbers, 8, Step);
}
