// A Race() that nobody awaits.
// expect: co_await the Task, or Fork it
#include "weft/weft.h"

weft::Task<int> Ask();

weft::Task<int> Caller() {
#ifdef MISUSE
  weft::Race(Ask(), Ask());
#endif
  co_return co_await weft::Race(Ask(), Ask());
}
