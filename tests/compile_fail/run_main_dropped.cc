// The exit code of RunMain(), dropped.
// expect: return it from main()
#include "weft/weft.h"

weft::Task<int> Main();

int main() {
#ifdef MISUSE
  weft::RunMain(Main());
#else
  return weft::RunMain(Main());
#endif
}
