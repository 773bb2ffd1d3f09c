// A JoinFor() that nobody awaits.
// expect: co_await the Task, or Fork it
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  scope.JoinFor(absl::Seconds(1));
#endif
  co_return (co_await scope.JoinFor(absl::Seconds(1))).has_value();
}
