// Layer runtime. The carrier that the caller is on, as scopes see it: who runs there, and what a fork and an All ask.
//
// This is all that code outside lib/runtime sees of a carrier. It is the carrier's own code, inlined: a call more in a
// fork or a join would cost 1 % of either. What is not on that path is in lib/thread/runtime_services.h.
//
// It holds for one call, not over a co_await: the thread may go on on another carrier.
#ifndef WEFT_LIB_RUNTIME_CALLING_CARRIER_H_
#define WEFT_LIB_RUNTIME_CALLING_CARRIER_H_

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "lib/runtime/carrier.h"
#include "lib/runtime/no_suspensions.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/promise.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class CallingCarrier {
 public:
  CallingCarrier() noexcept : carrier_(Carrier::Current()) {}
  // CHECKs that a thread is mounted, which is about to do `what`.
  explicit CallingCarrier(const char* what) noexcept : carrier_(&Carrier::Require(what)) {}

  // Any OS thread.
  bool Runs(const ThreadBlock& thread) const noexcept { return carrier_ != nullptr && carrier_->current == &thread; }

  // ---- Where a thread is mounted.
  ThreadBlock& thread() const noexcept { return *carrier_->current; }
  RuntimeCore& runtime() const noexcept { return carrier_->runtime; }
  // The first of `count` ids for new threads.
  uint64_t NextThreadIds(uint32_t count) noexcept { return carrier_->NextThreadIds(count); }
  // A new thread, which the mounted one has made, becomes runnable.
  [[gnu::always_inline]] void StartHere(ThreadBlock& thread) noexcept { carrier_->StartHere(thread); }

  // ---- All: the frame of `owner`, the mounted thread, is suspended, and waits for `scope`, whose children are the
  // branches. (in_place_joins.h)
  bool EnterJoinOf(ThreadBlock& owner, AwaitingFrame awaiting) noexcept {
    return carrier_->EnterJoinOf(owner, awaiting);
  }
  template <class BranchAt>
  std::coroutine_handle<> BeginBranches(ThreadBlock& owner, ScopeRecord& scope, ThreadBlock& first, int32_t count,
                                        BranchAt branch) noexcept {
    return carrier_->BeginBranches(owner, scope, first, count, branch);
  }
  // The same for two, if nothing special happens.
  bool MayEnterJoinUnobserved(const ThreadBlock& owner) const noexcept {
    return carrier_->MayEnterJoinUnobserved(owner);
  }
  // A debug build, before that: where it waits. (no_suspensions.h)
  void NoteWaitsAt(const std::source_location& where) noexcept {
    if constexpr (NoSuspensions::kChecked) carrier_->observed.waits_at = where;
  }
  [[gnu::always_inline]] std::coroutine_handle<> BeginTwoBranches(ThreadBlock& owner, ScopeRecord& scope,
                                                                  ThreadBlock& first, BranchSeed& second) noexcept {
    return carrier_->BeginTwoBranches(owner, scope, first, second);
  }

 private:
  Carrier* const carrier_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CALLING_CARRIER_H_
