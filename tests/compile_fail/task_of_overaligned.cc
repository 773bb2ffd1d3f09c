// A coroutine with a result that no frame can hold.
// expect: a parameter or a result that is aligned to more than 16 bytes is compiled with -fcoro-aligned-allocation
#include <memory>

#include "weft/weft.h"

struct alignas(64) Line {
  int values[16];
};

#ifdef MISUSE
weft::Task<Line> Make() { co_return Line{}; }
#else
weft::Task<std::unique_ptr<Line>> Make() { co_return std::make_unique<Line>(); }
#endif
