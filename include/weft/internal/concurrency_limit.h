// How many children of a scope run at once (ScopeOptions::max_concurrency), and which of them wait for their turn.
// Guarded by the scope's lock.
//
// Children beyond the limit wait, in the order of their forks, until one that runs has ended. After a shutdown they are
// started only to end at once. But those that owe a clean-up do begin, and so keep to the limit.
#ifndef WEFT_INTERNAL_CONCURRENCY_LIMIT_H_
#define WEFT_INTERNAL_CONCURRENCY_LIMIT_H_

#include "weft/internal/compiler.h"

#include <new>

#include "weft/internal/thread_block.h"
#include "weft/scope_options.h"

namespace weft::internal {

class ChildBase;

class ConcurrencyLimit {
 public:
  explicit ConcurrencyLimit(int max) noexcept : max_(max) {}
  ConcurrencyLimit(const ConcurrencyLimit&) = delete;
  ConcurrencyLimit& operator=(const ConcurrencyLimit&) = delete;
  ~ConcurrencyLimit() {}  // no child waits

  // Constant: any thread, without the lock.
  int max() const noexcept { return max_; }
  bool unlimited() const noexcept { return max_ == ScopeOptions::kUnlimited; }

  // For a new child, if there is a limit. True: the caller starts it. False: it waits. `shut`: is the scope?
  [[nodiscard]] bool Admit(ChildBase& child, bool shut) noexcept;
  // A child has ended. Returns the child that the caller starts in its place, or null.
  ChildBase* NextAfter(const ChildBase& ended, bool shut) noexcept;

  bool anybody_waits() const noexcept { return !waiting_.empty(); }
  // The scope is shut, once.
  void BeginShutdown() noexcept { ::new (&owing_) ThreadQueue; }
  // After that, while any child waits: takes out the first. Returns it if the caller must start it; otherwise it owes a
  // clean-up, and goes on waiting.
  ChildBase* TakeForShutdown() noexcept;

 private:
  bool StartsNow(ChildBase& child) noexcept;

  const int max_;
  int running_ = 0;      // of those that count against it
  ThreadQueue waiting_;  // counted as children, not started
  union {
    ThreadQueue owing_;  // the same, made at the shutdown: those of them that owe a clean-up
  };
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CONCURRENCY_LIMIT_H_
