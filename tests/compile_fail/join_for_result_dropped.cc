// A JoinFor() that nobody looks at: did all end in time?
// expect: check the result: it is empty if children have not ended
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  co_await scope.JoinFor(absl::Seconds(1));
#endif
  co_return (co_await scope.JoinFor(absl::Seconds(1))).has_value();
}
