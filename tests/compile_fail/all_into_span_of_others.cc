// All() into a span whose elements cannot be assigned the results.
// expect: the span's elements take the results
#include <span>
#include <string>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
using Result = int*;
#else
using Result = std::string;
#endif

weft::Task<std::string> Word();

weft::Task<void> Caller(std::vector<weft::Task<std::string>> tasks, std::span<Result> results) {
  co_await weft::All(tasks, results);
}
