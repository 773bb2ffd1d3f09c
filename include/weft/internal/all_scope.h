// The scope of an All, and its branches: virtual threads whose control blocks lie in the frame that awaits them.
#ifndef WEFT_INTERNAL_ALL_SCOPE_H_
#define WEFT_INTERNAL_ALL_SCOPE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "weft/internal/cancel_cause.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class BranchBlock final : public ThreadBlock {
 public:
  BranchBlock() noexcept : ThreadBlock(kInFrame) {}

 private:
  void OnEnd(Ending ending) noexcept override;
};

template <size_t kCount>
struct AllOf;

// Opened when its branches begin. Whoever ends the last of them closes it, before the owner goes on.
class AllScope final : public ScopeRecord {
 public:
  // For await_suspend: opens the scope at `scope`, makes the `count` control blocks at `branches`, and begins the
  // threads whose unstarted root frames are `roots`. Returns what runs next. A checkpoint: if the owner is cancelled
  // there, this makes nothing, and destroys the roots, unless one of them owes a clean-up.
  static std::coroutine_handle<> Begin(AllScope* scope, BranchBlock* branches, PromiseBase* const* roots, int32_t count,
                                       AwaitingFrame awaiting) noexcept;
  // The same for two.
  static std::coroutine_handle<> BeginTwo(AllOf<2>& place, PromiseBase* const* roots, AwaitingFrame awaiting) noexcept;

  // After the end: which branch failed first, or -1.
  int32_t first_failure() const noexcept { return first_failure_; }

 private:
  friend class BranchBlock;

  template <class Count>
  static AllScope& Make(AllScope* place, BranchBlock* branches, PromiseBase* const* roots, Count count,
                        ThreadBlock& owner, RuntimeCore& runtime, uint64_t first_id) noexcept;
  // Its owner is cancelled already.
  [[gnu::cold, gnu::noinline]] static std::coroutine_handle<> BeginShut(AllScope& scope, BranchBlock* branches,
                                                                        int32_t count) noexcept;
  AllScope(ThreadBlock& owning_thread, RuntimeCore& runtime, BranchBlock* branches, int32_t count) noexcept
      : ScopeRecord(&owning_thread, runtime, kOperations, count), branches_(branches), count_(count) {}

  void RequestShutdown(const CancelCause& cause) noexcept;
  bool ShutDownSome(int max) noexcept;
  void Register(ThreadBlock& branch) noexcept;
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;
  void ShutLocked(const CancelCause& cause) noexcept;
  void BranchFailed(BranchBlock& branch) noexcept;
  static const Operations kOperations;

  BranchBlock* const branches_;
  const int32_t count_;

  // ---- Guarded by lock_.
  int32_t first_failure_ = -1;
  int32_t cursor_ = 0;   // the next branch to ask to end
  union {
    CancelCause cause_;  // of the shutdown; not set before
  };
};

// The place for a scope and its branches. Neither needs a destructor: whoever ends the last branch closes the scope,
// and a branch that has ended owns nothing.
template <size_t kCount>
struct AllOf {
  AllOf() noexcept {}
  ~AllOf() {}
  union {
    AllScope scope;
  };
  union {
    BranchBlock branches[kCount];
  };
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_ALL_SCOPE_H_
