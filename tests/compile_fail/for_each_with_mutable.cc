// ForEach() with a function that changes what it has captured.
// expect: this one is mutable
#include <vector>

#include "weft/weft.h"

weft::Task<void> Step(int number);

weft::Task<void> Caller(std::vector<int> numbers) {
#ifdef MISUSE
  co_await weft::ForEach(numbers, 8, [sum = 0](int number) mutable { return Step(sum += number); });
#else
  co_await weft::ForEach(numbers, 8, [sum = 0](int number) { return Step(sum + number); });
#endif
}
