// A copy of a Runtime.
// expect: call to deleted constructor of 'weft::Runtime'
#include "weft/weft.h"

int main() {
#ifdef MISUSE
  weft::Runtime runtime = weft::Runtime::Default();
#else
  weft::Runtime& runtime = weft::Runtime::Default();
#endif
  return runtime.parallelism();
}
