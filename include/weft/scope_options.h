// ScopeOptions and ForkOptions: what a scope, and a child, can be given beside its task.
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

namespace weft {

// Of one scope.
struct ScopeOptions {
  static constexpr int kUnlimited = std::numeric_limits<int>::max();

  // For dumps and messages; the scope keeps a copy.
  TextView name = {};
  // Children that run at once, at least 1: a CHECK. The others start later, in the order of their forks.
  int max_concurrency = kUnlimited;
  // From the opening. When it is over, the scope is shut down (CancelReason::Kind::kTimeout).
  absl::Duration timeout = absl::InfiniteDuration();
  // Where the scope is opened, for the reasons of what it cancels by itself.
  std::source_location where = std::source_location::current();
};

// Of one Fork().
struct ForkOptions {
  // Of the virtual thread, which keeps a copy; empty: none.
  TextView name = {};
};

}  // namespace weft

#endif  // WEFT_SCOPE_OPTIONS_H_
