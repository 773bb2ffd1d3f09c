// ForEach() with a function that returns no Task.
// expect: the function takes an element and returns a Task
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
void Step(int number);
#else
weft::Task<void> Step(int number);
#endif

weft::Task<void> Caller(std::vector<int> numbers) { co_await weft::ForEach(numbers, 8, Step); }
