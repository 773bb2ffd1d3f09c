// ScopeOptions and ForkOptions: the options of a scope and of a child.
//
//   weft::ShutdownOnFailure scope({.name = "fetch", .max_concurrency = 8, .timeout = absl::Seconds(2)});
//   scope.Fork(Fetch(url), {.name = "first"});
#ifndef WEFT_SCOPE_OPTIONS_H_
#define WEFT_SCOPE_OPTIONS_H_

#include "weft/internal/compiler.h"

#include <limits>
#include <source_location>

#include "absl/time/time.h"
#include "weft/text_view.h"
#include "weft/time_span.h"

namespace weft {

// Of one scope.
struct ScopeOptions {
  static constexpr int kUnlimited = std::numeric_limits<int>::max();

  // Appears in dumps and messages. The scope keeps a copy.
  TextView name = {};
  // How many children run at once. Further children start later, in the order of their forks. Fork() does not wait: any
  // number of them are kept. Who takes them from a queue first acquires a Semaphore, whose Permit the child holds. Less
  // than 1 is a CHECK.
  int max_concurrency = kUnlimited;
  // Counts from the opening. When it is over, the scope is shut down (CancelReason::Kind::kTimeout).
  TimeSpan timeout = absl::InfiniteDuration();
  // The line that opens the scope, for the CancelReason of what the scope cancels by itself.
  std::source_location where = std::source_location::current();
};

// Of one Fork().
struct ForkOptions {
  // The name of the virtual thread, which keeps a copy. Empty: no name.
  TextView name = {};
};

}  // namespace weft

#endif  // WEFT_SCOPE_OPTIONS_H_
