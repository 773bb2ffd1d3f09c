// All() of an array of Tasks that cannot be moved out of it.
// expect: the tasks are moved out of the range, so it must not be const
#include <array>
#include <cstddef>

#include "weft/weft.h"

#ifdef MISUSE
using Tasks = const std::array<weft::Task<int>, 2>;
#else
using Tasks = std::array<weft::Task<int>, 2>;
#endif

weft::Task<size_t> Caller(Tasks& tasks) { co_return (co_await weft::All(tasks)).size(); }
