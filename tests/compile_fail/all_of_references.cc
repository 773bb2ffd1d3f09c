// All() of a vector of Tasks that give references.
// expect: All() of a range cannot give references; return pointers
#include <cstddef>
#include <utility>
#include <vector>

#include "weft/weft.h"

#ifdef MISUSE
using Found = int&;
#else
using Found = int*;
#endif

weft::Task<size_t> Caller(std::vector<weft::Task<Found>> tasks) {
  co_return (co_await weft::All(std::move(tasks))).size();
}
