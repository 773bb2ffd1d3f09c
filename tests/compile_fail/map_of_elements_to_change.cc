// Map() over what cannot be changed, with a function that changes it.
// expect: this one's parameter does not take the elements of the range
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<int> Next(int& number);
#else
weft::Task<int> Next(const int& number);
#endif

weft::Task<void> Caller(const std::vector<int>& numbers) { co_await weft::Map(numbers, 8, Next); }
