// The outcome of a JoinFor() that nobody awaits.
// expect: co_await it: nothing was waited for
#include <optional>

#include "absl/time/time.h"
#include "weft/weft.h"

weft::Task<bool> Caller() {
  weft::AwaitAll scope;
#ifdef MISUSE
  std::optional<weft::Outcome> joined = scope.JoinFor(absl::Seconds(1));
#else
  std::optional<weft::Outcome> joined = co_await scope.JoinFor(absl::Seconds(1));
#endif
  co_return joined.has_value();
}
