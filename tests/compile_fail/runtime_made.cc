// A Runtime made by its constructor, which could not say that it has failed.
// expect: use Create()
#include "weft/weft.h"

weft::Task<int> Count();

int main() {
#ifdef MISUSE
  weft::Runtime runtime(weft::RuntimeOptions{.parallelism = 2});
  return runtime.Run(Count());
#else
  auto runtime = weft::Runtime::Create({.parallelism = 2});
  return (*runtime)->Run(Count());
#endif
}
