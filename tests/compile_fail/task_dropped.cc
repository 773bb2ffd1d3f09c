// A Task that is made and dropped.
// expect: co_await the Task, or Fork it: a Task that is dropped never runs
#include "weft/weft.h"

weft::Task<void> Work();

weft::Task<void> Caller() {
#ifdef MISUSE
  Work();
#endif
  co_await Work();
}
