// An arrival that nobody awaits.
// expect: co_await the wait
#include "weft/sync/barrier.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(weft::Barrier& barrier) {
#ifdef MISUSE
  barrier.ArriveAndWait();
#endif
  co_return (co_await barrier.ArriveAndWait()).status();
}
