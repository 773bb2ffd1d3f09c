// Map() with a function whose second parameter is no index.
// expect: this one's parameter does not take the elements of the range
#include <cstddef>
#include <string>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
weft::Task<int> Place(int number, std::string name);
#else
weft::Task<int> Place(int number, size_t index);
#endif

weft::Task<void> Caller(std::vector<int> numbers) { co_await weft::Map(numbers, 8, Place); }
