// What a scope is to the lower layers: a record with children, a join count, and a table of what it can be asked to do.
//
// StructuredTaskScope, All and StopOnCancel are such records (scope_base.h, all_scope.h, stop_token.h).
#ifndef WEFT_INTERNAL_SCOPE_RECORD_H_
#define WEFT_INTERNAL_SCOPE_RECORD_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/join_count.h"
#include "weft/internal/lock.h"
#include "weft/internal/record.h"

namespace weft::internal {

struct BranchSeed;
struct Drain;
struct PromiseBase;
class RuntimeCore;
class ThreadBlock;

// A record with children: other virtual threads, which must have ended before it is popped. Other threads call these
// functions from push to pop. Both happen inside the constructor and destructor of a derived class, where virtual
// dispatch would reach the wrong override; hence an explicit table.
class ScopeRecord : public Record {
 public:
  // Called under the owner's records lock, or by the owner. From here on the scope starts no children, and asks those
  // that it has to end. Idempotent.
  void RequestShutdown(const CancelCause& cause) noexcept { operations_.request_shutdown(*this, cause); }
  // Brings a shutdown to at most `max` more children. Returns false if there are more. Whoever drains the runtime's
  // cancel queue calls it until it returns true, after which it must not touch the scope.
  bool ShutDownSome(int max) noexcept { return operations_.shut_down_some(*this, max); }
  // Called by `child`, a thread of this scope: lists it, so that it can be asked to end, at once if the scope is shut.
  void Register(ThreadBlock& child) noexcept { operations_.register_child(*this, child); }
  // Makes the thread that `seed` stands for, in the seed's place. Whoever has taken the seed out of a run queue.
  ThreadBlock& MakeBranch(BranchSeed& seed) noexcept { return operations_.make_branch(*this, seed); }
  // Why it has asked its children to end, as `asker`; it has by now. Any thread.
  CancelCause CauseFor(Asker asker) const noexcept { return operations_.cause_for(*this, asker); }
  // For dumps: calls visit(child, argument) for every child that is listed and has not ended, under the scope's lock.
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
    operations_.for_each_child(*this, visit, argument);
  }
  // For scopes with daemons. ExcludeDaemons() is called by the owner before it waits in a join: from here on only the
  // other children count. EndDaemons() is called after the last of these has ended, before the owner goes on: the
  // daemons count again, and are asked to end. IncludeDaemons() is called by whoever takes the owner out of its wait:
  // the daemons count again. The last two do nothing if there was no wait.
  void ExcludeDaemons() noexcept { operations_.exclude_daemons(*this); }
  void EndDaemons() noexcept { operations_.end_daemons(*this); }
  void IncludeDaemons() noexcept { operations_.include_daemons(*this); }
  // The owner's wait for the children during an unwinding, if it can be pressed (drain.h); else null. For the owner
  // only. SetPatience() presses it at `deadline_ns` or later (scope_timer.h), unless EndPatience() comes first.
  Drain* drain() noexcept { return operations_.drain == nullptr ? nullptr : operations_.drain(*this); }
  void SetPatience(int64_t deadline_ns, bool again) noexcept { operations_.set_patience(*this, deadline_ns, again); }
  void EndPatience() noexcept { operations_.end_patience(*this); }
  // Is its turn in the runtime's cancel queue user code?
  bool runs_user_code() const noexcept { return operations_.runs_user_code; }
  // When its own timeout asks its children to end, on the monotonic clock; INT64_MAX: never. Constant.
  int64_t deadline_ns() const noexcept {
    return operations_.deadline_ns == nullptr ? INT64_MAX : operations_.deadline_ns(*this);
  }
  // For dumps and reasons.
  std::string_view name() const noexcept { return operations_.name(*this); }
  bool shut() const noexcept { return state_.load(std::memory_order_relaxed) >= kShut; }

  const bool closes_with_join;  // the scope of an All: its record is popped before the owner goes on
  // About the join that waits; written by the owner before it waits. True: the owner is parked, so that a request
  // inside the scope can interrupt it; it is woken, not resumed.
  bool owner_parked = false;
  // Some of its children are daemons: a join waits for the others, then ends the daemons and waits for them. Written by
  // the owner while it does not wait.
  bool has_daemons = false;
  // Set only for a ScopeBase: how many permits the owner held when it opened the scope (ThreadBlock::permits_held), and
  // its scopes_opened, this scope included (`opened_as`).
  uint8_t permits_before = 0;

 protected:
  // What each allows: opened_scope.h. All and StopOnCancel are never kClosed. The bits below kShut: CancellableScope.
  enum State : uint8_t { kOpen, kShut = 4, kClosed = 8 };
  // kShut is written under lock_; kClosed after that, by the owner. With the bits it is one word: who saw kShut, or
  // goes on because of one who did, finds no bit. relaxed: a child that misses kShut is asked when it registers.
  Atomic<uint8_t> state_{kOpen};

 public:
  uint32_t opened_as = 0;

 protected:
  // Taken under the records lock of the owner, or of no thread; the records locks of children are taken under it.
  mutable Lock lock_;

 public:
  ThreadBlock* const owner;
  RuntimeCore& runtime;  // the owner's, and so its children's
  JoinCount children;
  ScopeRecord* next_in_cancel_queue;  // while it is in there

 protected:
  struct Operations {
    void (*request_shutdown)(ScopeRecord& scope, const CancelCause& cause) noexcept;
    bool (*shut_down_some)(ScopeRecord& scope, int max) noexcept;
    CancelCause (*cause_for)(const ScopeRecord& scope, Asker asker) noexcept = nullptr;  // where it has children
    ThreadBlock& (*make_branch)(ScopeRecord& scope, BranchSeed& seed) noexcept = nullptr;  // of an All
    void (*register_child)(ScopeRecord& scope, ThreadBlock& child) noexcept;
    void (*for_each_child)(ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                           void* argument) noexcept;
    void (*exclude_daemons)(ScopeRecord& scope) noexcept = nullptr;
    void (*end_daemons)(ScopeRecord& scope) noexcept = nullptr;
    void (*include_daemons)(ScopeRecord& scope) noexcept = nullptr;
    Drain* (*drain)(ScopeRecord& scope) noexcept = nullptr;
    void (*set_patience)(ScopeRecord& scope, int64_t deadline_ns, bool looks_again) noexcept = nullptr;
    void (*end_patience)(ScopeRecord& scope) noexcept = nullptr;
    bool runs_user_code = false;
    int64_t (*deadline_ns)(const ScopeRecord& scope) noexcept = nullptr;
    std::string_view (*name)(const ScopeRecord& scope) noexcept;
  };
  ScopeRecord(ThreadBlock* owning_thread, const Operations& operations) noexcept;  // (thread_block.h)
  ScopeRecord(ThreadBlock* owning_thread, RuntimeCore& of_owner, const Operations& operations) noexcept
      : Record(Kind::kScope),
        closes_with_join(false),
        owner(owning_thread),
        runtime(of_owner),
        operations_(operations) {}
  // With that many children, which are forked at once.
  ScopeRecord(ThreadBlock* owning_thread, RuntimeCore& of_owner, const Operations& operations,
              int32_t branches) noexcept
      : Record(Kind::kScope),
        closes_with_join(true),
        owner(owning_thread),
        runtime(of_owner),
        children(branches),
        operations_(operations) {}
  ~ScopeRecord() = default;
  static bool Has(const ScopeRecord& scope, const Operations& operations) noexcept {
    return &scope.operations_ == &operations;
  }

 private:
  const Operations& operations_;
};

// A branch of an All that has not begun: what makes a thread of it. It stands for that in run queues. (all_scope.h)
struct BranchSeed {
  ScopeRecord* scope;
  PromiseBase* root;
  uint64_t id;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SCOPE_RECORD_H_
