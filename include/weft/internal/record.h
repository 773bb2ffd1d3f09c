// What a virtual thread has open, innermost first: scopes, and the boundaries at which a cancellation stops.
//
// The records of a thread lie in its own frames and form one stack. Only the thread itself (or the carrier that unwinds
// it) pushes and pops, without a lock as long as nobody looks; others, who bring a request to cancel, walk the stack
// under the thread's records lock, having made sure that the thread knows of it (records.h).
#ifndef WEFT_INTERNAL_RECORD_H_
#define WEFT_INTERNAL_RECORD_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/drain.h"
#include "weft/internal/join_count.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"

namespace weft::internal {

class ThreadBlock;

struct Record {
  enum class Kind : uint8_t {
    kScope,        // ScopeRecord: has children
    kOwnRequest,   // Boundary: stops the request that it makes itself, when its time is up, or a token is stopped
    kCatch,        // Boundary: stops any request that arrives while it is open
    kShield,       // Boundary: hides the requests to what is outside from what is inside
    kGraceShield,  // the same, until its grace is over: then it is `requested`, and hides nothing
  };

  explicit Record(Kind record_kind) noexcept : kind(record_kind) {}
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  Record* outer;  // once it is pushed
  const Kind kind;
};

// Where an unwinding stops: a boundary, or the root of a thread.
struct CancelTarget {
  CancelTarget() noexcept {}

  bool requested = false;  // a request was made to this one itself; guarded by the records lock
  bool reached = false;    // an unwinding ended here; the thread's own
  union {
    CancelCause cause;  // of the request, and then of the unwinding; not set before
  };
};

// `frame` is the awaiting frame: what it awaits is destroyed, then it goes on.
struct Boundary : Record, CancelTarget {
  explicit Boundary(Kind boundary_kind) noexcept : Record(boundary_kind) {}

  PromiseBase* frame;  // once it is pushed
};

// A record with children: other virtual threads, which must have ended before it is popped. Others call it from the moment it is pushed
// until it is popped, both of which happen while an object of a class that derives from it is being made or destroyed; so it has a
// table of its own instead of virtual functions, which change at those moments.
class ScopeRecord : public Record {
 public:
  // Any thread, under the owner's records lock, or the owner itself. Starts no more children and asks those there are
  // to end. Idempotent.
  void RequestShutdown(const CancelCause& cause) noexcept { operations_.request_shutdown(*this, cause); }
  // Carries a shutdown on to at most `max` children; false if there are more. Called by whoever drains the runtime's cancel
  // queue, until it returns true, which is the last touch.
  bool ShutDownSome(int max) noexcept { return operations_.shut_down_some(*this, max); }
  // The thread `child` of this scope itself: makes it known, so that it can be asked to end; asks it at once if the
  // scope is shut.
  void Register(ThreadBlock& child) noexcept { operations_.register_child(*this, child); }
  // For dumps: calls visit(child, argument) for every child that is known and has not ended, under the scope's lock.
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
    operations_.for_each_child(*this, visit, argument);
  }
  // Where it has daemons. The owner, before it waits in a join: from here on only the others count. Whoever was the
  // last of these, before the owner goes on: asks the daemons to end, which count again. Whoever takes the owner out of
  // its wait: they count again. The last two may be called when there was no wait, and do nothing then.
  void AwaitOthers() noexcept { operations_.await_others(*this); }
  void EndDaemons() noexcept { operations_.end_daemons(*this); }
  void AwaitAllAgain() noexcept { operations_.await_all_again(*this); }
  // How its owner waits, unwinding, until the children have ended, if somebody may press it (drain.h); null if nobody
  // may. The owner alone. SetPatience: presses it at `deadline_ns`; kept until EndPatience().
  Drain* drain() noexcept { return operations_.drain == nullptr ? nullptr : operations_.drain(*this); }
  void SetPatience(int64_t deadline_ns) noexcept { operations_.set_patience(*this, deadline_ns); }
  void EndPatience() noexcept { operations_.end_patience(*this); }
  // Is its turn in the runtime's cancel queue user code?
  bool runs_user_code() const noexcept { return operations_.runs_user_code; }
  // For dumps and reasons.
  std::string_view name() const noexcept { return operations_.name(*this); }
  bool shut() const noexcept { return shut_.load(std::memory_order_relaxed); }

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
  Atomic<bool> shut_{false};  // written under lock_. relaxed: a child that misses it is asked when it registers

 public:
  uint32_t opened_as;

 protected:
  // Taken under the records lock of the owner, or of no thread; the records locks of children are taken under it.
  mutable Lock lock_;

 public:
  ThreadBlock* const owner;
  JoinCount children;
  ScopeRecord* next_in_cancel_queue;  // while it is in there

 protected:
  struct Operations {
    void (*request_shutdown)(ScopeRecord& scope, const CancelCause& cause) noexcept;
    bool (*shut_down_some)(ScopeRecord& scope, int max) noexcept;
    void (*register_child)(ScopeRecord& scope, ThreadBlock& child) noexcept;
    void (*for_each_child)(ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;
    void (*await_others)(ScopeRecord& scope) noexcept = nullptr;
    void (*end_daemons)(ScopeRecord& scope) noexcept = nullptr;
    void (*await_all_again)(ScopeRecord& scope) noexcept = nullptr;
    Drain* (*drain)(ScopeRecord& scope) noexcept = nullptr;
    void (*set_patience)(ScopeRecord& scope, int64_t deadline_ns) noexcept = nullptr;
    void (*end_patience)(ScopeRecord& scope) noexcept = nullptr;
    bool runs_user_code = false;
    std::string_view (*name)(const ScopeRecord& scope) noexcept;
  };
  ScopeRecord(ThreadBlock* owning_thread, const Operations& operations) noexcept
      : Record(Kind::kScope), closes_with_join(false), owner(owning_thread), operations_(operations) {}
  // With that many children, which are forked at once.
  ScopeRecord(ThreadBlock* owning_thread, const Operations& operations, int32_t branches) noexcept
      : Record(Kind::kScope),
        closes_with_join(true),
        owner(owning_thread),
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

#endif  // WEFT_INTERNAL_RECORD_H_
