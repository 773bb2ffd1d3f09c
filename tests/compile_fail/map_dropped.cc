// A Map() that nobody awaits.
// expect: co_await the Task, or Fork it
#include <cstddef>
#include <vector>

#include "weft/weft.h"

weft::Task<int> Square(int number);

weft::Task<size_t> Caller(std::vector<int> numbers) {
#ifdef MISUSE
  weft::Map(numbers, 8, Square);
#endif
  co_return (co_await weft::Map(numbers, 8, Square)).size();
}
