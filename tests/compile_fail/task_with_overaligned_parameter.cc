// A coroutine with a parameter that its frame cannot hold.
// expect: a parameter or a result that is aligned to more than 16 bytes is compiled with -fcoro-aligned-allocation
#include "weft/weft.h"

struct alignas(64) Line {
  int values[16];
};

#ifdef MISUSE
weft::Task<int> First(Line line) {
#else
weft::Task<int> First(const Line& line) {
#endif
  co_await weft::Yield();
  co_return line.values[0];
}
