// A JoinFor() of so many, nobody says of what.
// expect: no viable conversion from 'int' to 'TimeSpan'
#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  co_return (co_await scope.JoinFor(10)).has_value();
#else
  co_return (co_await scope.JoinFor(absl::Seconds(10))).has_value();
#endif
}
