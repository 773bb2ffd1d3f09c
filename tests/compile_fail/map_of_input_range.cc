// Map() over what can be read only once.
// expect: for a forward range
#include <algorithm>
#include <cstddef>
#include <istream>
#include <iterator>
#include <ranges>
#include <vector>

#include "weft/weft.h"

weft::Task<int> Square(int number);

weft::Task<size_t> Caller(std::istream& in) {
  auto numbers = std::views::istream<int>(in);
#ifdef MISUSE
  co_return (co_await weft::Map(numbers, 8, Square)).size();
#else
  std::vector<int> read;
  std::ranges::copy(numbers, std::back_inserter(read));
  co_return (co_await weft::Map(read, 8, Square)).size();
#endif
}
