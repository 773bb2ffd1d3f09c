// ForEach() with a function that gives a value.
// expect: ForEach() returns no results, but the function does: use Map()
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<int> Step(int number);
#else
weft::Task<void> Step(int number);
#endif

weft::Task<void> Caller(std::vector<int> numbers) { co_await weft::ForEach(numbers, 8, Step); }
