// What a scope is to those below it: a record with children, a join count, and a table of what it can be asked.
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

struct Drain;
class RuntimeCore;
class ThreadBlock;

// A record with children: other virtual threads, which must have ended before it is popped. Other threads call these
// functions from push to pop. Both happen inside the constructor and destructor of a derived class, where virtual
// dispatch would reach the wrong override; hence an explicit table.
class ScopeRecord : public Record {
 public:
  // Any thread, under the owner's records lock, or the owner itself. Starts no more children and asks those there are
  // to end. Idempotent.
  void RequestShutdown(const CancelCause& cause) noexcept { operations_.request_shutdown(*this, cause); }
  // Carries a shutdown on to at most `max` children; false if there are more. Called by whoever drains the runtime's
  // cancel queue, until it returns true, which is the last touch.
  bool ShutDownSome(int max) noexcept { return operations_.shut_down_some(*this, max); }
  // The thread `child` of this scope itself: makes it known, so that it can be asked to end; asks it at once if the
  // scope is shut.
  void Register(ThreadBlock& child) noexcept { operations_.register_child(*this, child); }
  // Why it has asked its children to end, as `asker`; it has by now. Any thread.
  CancelCause CauseFor(Asker asker) const noexcept { return operations_.cause_for(*this, asker); }
  // For dumps: calls visit(child, argument) for every child that is known and has not ended, under the scope's lock.
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
    operations_.for_each_child(*this, visit, argument);
  }
  // Where it has daemons. The owner, before it waits in a join: from here on only the others count. Whoever was the
  // last of these, before the owner goes on: asks the daemons to end, which count again. Whoever takes the owner out of
  // its wait: they count again. The last two may be called when there was no wait, and do nothing then.
  void ExcludeDaemons() noexcept { operations_.exclude_daemons(*this); }
  void EndDaemons() noexcept { operations_.end_daemons(*this); }
  void IncludeDaemons() noexcept { operations_.include_daemons(*this); }
  // How its owner waits, unwinding, until the children have ended, if somebody may press it (drain.h); null if nobody
  // may. The owner alone. SetPatience: presses it at `deadline_ns`; kept until EndPatience().
  Drain* drain() noexcept { return operations_.drain == nullptr ? nullptr : operations_.drain(*this); }
  void SetPatience(int64_t deadline_ns) noexcept { operations_.set_patience(*this, deadline_ns); }
  void EndPatience() noexcept { operations_.end_patience(*this); }
  // Is its turn in the runtime's cancel queue user code?
  bool runs_user_code() const noexcept { return operations_.runs_user_code; }
  // For dumps and reasons.
  std::string_view name() const noexcept { return operations_.name(*this); }
  bool shut() const noexcept { return state_.load(std::memory_order_relaxed) != State::kOpen; }

  const bool closes_with_join;  // the scope of an All: its record is popped before the owner goes on
  // Of the join that waits, written by the owner before it does. The owner is parked, because something that is
  // requested inside the scope is to interrupt it; it is woken, not resumed.
  bool owner_parked = false;
  // Some of its children are daemons: a join waits for the others, then ends these and waits for them. Written by the
  // owner while it does not wait.
  bool has_daemons = false;
  // Of a ScopeBase, otherwise not set: how many permits the owner holds that it has got before
  // (ThreadBlock::permits_held), and its scopes_opened, with this one.
  uint8_t permits_before;

 protected:
  // What each allows: opened_scope.h. All and StopOnCancel are never kClosed.
  enum class State : uint8_t { kOpen, kShut, kClosed };
  // kShut is written under lock_; kClosed after that, by the owner. relaxed: a child that misses kShut is asked when it
  // registers.
  Atomic<State> state_{State::kOpen};

 public:
  uint32_t opened_as;

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
    void (*register_child)(ScopeRecord& scope, ThreadBlock& child) noexcept;
    void (*for_each_child)(ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument),
                           void* argument) noexcept;
    void (*exclude_daemons)(ScopeRecord& scope) noexcept = nullptr;
    void (*end_daemons)(ScopeRecord& scope) noexcept = nullptr;
    void (*include_daemons)(ScopeRecord& scope) noexcept = nullptr;
    Drain* (*drain)(ScopeRecord& scope) noexcept = nullptr;
    void (*set_patience)(ScopeRecord& scope, int64_t deadline_ns) noexcept = nullptr;
    void (*end_patience)(ScopeRecord& scope) noexcept = nullptr;
    bool runs_user_code = false;
    std::string_view (*name)(const ScopeRecord& scope) noexcept;
  };
  ScopeRecord(ThreadBlock* owning_thread, const Operations& operations) noexcept;  // (thread_block.h)
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

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SCOPE_RECORD_H_
