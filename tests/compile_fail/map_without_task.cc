// Map() with a function that gives the result itself.
// expect: this one returns neither a Task nor anything that a Task can await
#include <vector>

#include "weft/weft.h"

weft::Task<int> Count(int number);

weft::Task<void> Caller(std::vector<int> numbers) {
#ifdef MISUSE
  co_await weft::Map(numbers, 8, [](int number) { return number; });
#else
  co_await weft::Map(numbers, 8, [](int number) { return Count(number); });
#endif
}
