// The scope of an All, and its branches: virtual threads whose control blocks lie in the frame that awaits them.
//
// What the smallest branch must store. A branch that begins where another one has just ended, and that nobody has asked
// for anything, needs no control block of its own: it goes on in that of the other, with another id and another root
// frame. So of the branches only the first one is a thread from the start. Each of the others is a seed, three words in
// the place of its control block, and the address of the seed lies in the deque:
//
//   the next to begin in place, and what has ended was quiet   it takes over the block that is there: Succeed()
//   taken out of the deque in any other way                    the thread is made in its own place: MakeBranch()
//
// Quiet: it has succeeded, has no identity, has nothing open, and its state word is as new. The word is never written
// between two branches that share a block. So a request that is meant for the one and comes a moment late is not lost:
// the other one finds it. Both are of the same scope, and a branch is asked only by its scope, or through its identity.
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
  friend class AllScope;
  // The next in the scope's list, or null. Guarded by the scope's lock.
  BranchBlock* next_made() const noexcept { return static_cast<BranchBlock*>(ListNode<SiblingTag>::next); }
  void OnEnd(Ending ending) noexcept override;
};

// Room for a branch, and before that for its seed.
union BranchPlace {
  BranchPlace() noexcept {}
  ~BranchPlace() {}  // a branch that has ended owns nothing
  BranchBlock block;
  BranchSeed seed;
};
static_assert(sizeof(BranchPlace) == sizeof(BranchBlock));

template <size_t kCount>
struct AllOf;

// Opened when its branches begin. Whoever ends the last of them closes it, before the owner goes on.
class AllScope final : public ScopeRecord {
 public:
  // For await_suspend: opens the scope at `scope`, with the `count` branches at `branches`, whose unstarted root frames
  // are `roots`, and begins them. Returns what runs next. A checkpoint: if the owner is cancelled there, this makes
  // nothing, and destroys the roots, unless one of them owes a clean-up.
  static std::coroutine_handle<> Begin(AllScope* scope, BranchPlace* branches, PromiseBase* const* roots, int32_t count,
                                       AwaitingFrame awaiting) noexcept;
  // The same for two.
  static std::coroutine_handle<> BeginTwo(AllOf<2>& place, PromiseBase& first, PromiseBase& second,
                                          AwaitingFrame awaiting) noexcept;

  // After the end: which branch failed first, or -1.
  int32_t first_failure() const noexcept { return first_failure_; }

 private:
  friend class BranchBlock;

  AllScope(ThreadBlock& owning_thread, RuntimeCore& runtime, BranchPlace* branches, int32_t count,
           uint64_t first_id) noexcept
      : ScopeRecord(&owning_thread, runtime, kOperations, count), first_(branches->block), first_id_(first_id) {}

  static AllScope& Open(AllScope* place, BranchPlace* branches, PromiseBase& first, int32_t count, ThreadBlock& owner,
                        RuntimeCore& runtime, uint64_t first_id) noexcept;
  void Plant(BranchSeed& place, PromiseBase& root, uint64_t id) noexcept;
  [[gnu::noinline]] static std::coroutine_handle<> BeginTwoSlow(AllOf<2>& place, PromiseBase& first,
                                                                PromiseBase& second, AwaitingFrame awaiting) noexcept;
  // Its owner is cancelled already: every branch is made, and asked to end, before the first one begins.
  [[gnu::cold, gnu::noinline]] static std::coroutine_handle<> BeginShut(AllScope& scope, BranchPlace* branches,
                                                                        int32_t count) noexcept;

  void RequestShutdown(const CancelCause& cause) noexcept;
  bool ShutDownSome(int max) noexcept;
  BranchBlock& MakeBranch(BranchSeed& seed) noexcept;
  void Register(ThreadBlock& branch) noexcept;
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;
  void ShutLocked(const CancelCause& cause) noexcept;
  void BranchFailed(BranchBlock& branch) noexcept;
  static const Operations kOperations;

  BranchBlock& first_;  // the one that is made from the start
  const uint64_t first_id_;

  // ---- Guarded by lock_. The branches that are made are a list: the first one, and behind it the others.
  int32_t first_failure_ = -1;
  union {
    BranchBlock* next_to_ask_;  // after the shutdown; null: all were asked
  };
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
  BranchPlace branches[kCount];
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_ALL_SCOPE_H_
