// A Shield() that nobody awaits.
// expect: co_await it
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  weft::Shield(Work());
#endif
  co_await weft::Shield(Work());
}
