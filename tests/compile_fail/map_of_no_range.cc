// Map() over what is no range.
// expect: for an input range; the function takes an element and returns a Task
#include <vector>

#include "weft/weft.h"

weft::Task<int> Fetch(int number);

weft::Task<int> Caller() {
#ifdef MISUSE
  const int numbers = 3;
#else
  const std::vector<int> numbers(3);
#endif
  co_return (co_await weft::Map(numbers, 2, [](int number) { return Fetch(number); })).front();
}
