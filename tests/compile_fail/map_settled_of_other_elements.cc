// MapSettled() with a function of other elements than those of the range.
// expect: this one's parameter does not take the elements of the range
#include <string>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<int> Size(std::string name);
#else
weft::Task<int> Size(int number);
#endif

weft::Task<void> Caller(std::vector<int> numbers) { co_await weft::MapSettled(numbers, 8, Size); }
