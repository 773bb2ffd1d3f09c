// ForEach() with a function of other elements than those of the range.
// expect: the function takes an element and returns a Task
#include <string>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<void> Step(std::string name);
#else
weft::Task<void> Step(int number);
#endif

weft::Task<void> Caller(std::vector<int> numbers) { co_await weft::ForEach(numbers, 8, Step); }
