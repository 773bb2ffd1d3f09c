// An action of a barrier that is a coroutine.
// expect: the action of a Barrier does not wait, so it returns no Task
#include "weft/sync/barrier.h"
#include "weft/weft.h"

weft::Task<void> Action();

void Caller() {
#ifdef MISUSE
  weft::Barrier barrier(2, &Action);
#else
  weft::Barrier barrier(2, [] {});
#endif
}
