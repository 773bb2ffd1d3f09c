// Map() with a function that gives no value.
// expect: Map() returns results, but the function returns none: use ForEach()
#include <vector>

#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<void> Caller(std::vector<int> numbers) {
#ifdef MISUSE
  co_await weft::Map(numbers, 8, Step);
#else
  co_await weft::ForEach(numbers, 8, Step);
#endif
}
