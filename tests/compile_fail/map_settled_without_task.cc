// MapSettled() with a function that waits for nothing.
// expect: for an input range; the function takes an element and returns a Task
#include <vector>

#include "weft/weft.h"

weft::Task<int> Fetch(int number);

weft::Task<void> Caller(const std::vector<int>& numbers) {
#ifdef MISUSE
  co_await weft::MapSettled(numbers, 2, [](int number) { return number; });
#else
  co_await weft::MapSettled(numbers, 2, [](int number) { return Fetch(number); });
#endif
}
