// co_await in a function that is not a coroutine.
// expect: 'co_await' cannot be used in the 'main' function
#include "weft/weft.h"

weft::Task<int> Main();

int main() {
#ifdef MISUSE
  return co_await Main();
#else
  return weft::RunMain(Main());
#endif
}
