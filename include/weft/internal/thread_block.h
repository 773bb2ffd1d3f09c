// The control block of a virtual thread: everything about it except its frames.
//
// Lifetime: as long as there is a reference. The run holds one from start to end, and a Subtask another. A block that
// lies in a frame (a branch of All) has none: the frame outlives the thread. Handles (VirtualThread) refer to its
// identity instead, which is made when it is first asked for.
//
// Size. A million threads may park at once, so each word has its reason. A parked child of a scope needs, in bytes:
//    8  how it begins and ends: the table of virtual functions
//   32  its places in two lists: of its scope, which asks it to end, and of what it waits for
//    8  the scope it was forked into. That knows the runtime, and why its children are asked to end. (place_)
//    8  its id
//   32  what it goes on with: its frame, its bindings, what it waits on and how that wait is taken back
//   12  what it has open, and the lock for threads that walk that
//    8  its state word, and its references
//   20  of its own: marks, locks that it has got, where it ran last; and what its owner asks of a child (child.h)
// What few threads have lies in the identity. What a thread says when it has ended takes the place of what it needed
// to go on: KeepCause(). What only a mounted thread has lies in its carrier (Turn).
#ifndef WEFT_INTERNAL_THREAD_BLOCK_H_
#define WEFT_INTERNAL_THREAD_BLOCK_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <new>
#include <source_location>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/thread_key.h"
#include "weft/internal/thread_state.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

class RuntimeCore;
class BindingNode;
class TaskGroup;

struct SiblingTag;  // the children of a scope, or the roots of a runtime

class ThreadBlock : public ListNode<SiblingTag>, public WaitNode {
 public:
  ThreadBlock(const ThreadBlock&) = delete;
  ThreadBlock& operator=(const ThreadBlock&) = delete;

  // Members that are made as zero lie side by side, because the blocks of an All live only a few nanoseconds. The first
  // seven bytes fill the word that the state of the WaitNode begins.

  // ---- The thread's own, or its carrier's.
  bool started : 1 = false;
  bool unwinding : 1 = false;    // its frames are being destroyed just now
  bool holds_count : 1 = false;  // it runs in its owner's place, and holds the join count of its scope (join_count.h)
  uint8_t unused_marks : 5 = 0;  // the compiler then writes the byte, and reads nothing
  bool unwind = false;           // to be unwound, not resumed. Also written by whoever wakes it for that

  // ---- Before it starts; then constant.
  const bool in_frame : 1;  // a branch of All: when it has succeeded nothing needs to be done
  // Of a child (child.h).
  bool holds_ : 1 = false;         // a result has a destructor
  bool daemon_ : 1 = false;
  bool within_limit_ : 1 = false;  // counts against the ConcurrencyLimit; guarded by the scope's lock
  uint8_t unused_traits : 4 = 0;   // as unused_marks

  // ---- The thread's own.
  // What `scopes_opened` was, modulo 256, when it last got a lock or a permit. Also written by whoever grants one.
  uint8_t last_lock = 0;
  // Semaphore permits that it has got and not given back itself; kManyPermits stands for that many or more, for good.
  uint8_t permits_held = 0;
  static constexpr uint8_t kManyPermits = 255;

  // ---- Shared.
  // Index of the carrier it was last mounted on, plus one (0: never), and kMountedBit while it is.
  // relaxed: for display; of a pinned thread, which stays there, every value says the same.
  Atomic<uint16_t> mounted{0};
  static constexpr uint16_t kMountedBit = 1u << 15;

 private:
  // ---- Where it belongs: the address of its scope, or that of its runtime, plus kOfRuntime, for a root. If it has an
  // identity, that of the identity, plus kKnown; then `place` there is what this was before.
  Atomic<uintptr_t> place_;
  static constexpr uintptr_t kKnown = 1;
  static constexpr uintptr_t kOfRuntime = 2;

 public:
  // ---- Constant once started. Set by whoever starts it, like the place, the bindings and perhaps the leaf.
  uint64_t id;

  // ---- The thread's own, or its carrier's while it unwinds. Other threads read them only after they have claimed the
  // thread. At the end the parts of a kept cause take their places: KeepCause().
  union {
    PromiseBase* leaf;      // the frame that goes on when the thread is resumed
    uint64_t kept_request;  // the thread that caused it, and above 56 bits the kind
  };
  union {
    const BindingNode* bindings;
    const char* kept_text;
  };
  union {
    void* waiting_on;  // of `wait`
    int64_t kept_when_ns;
  };
  union {
    // What it is parked in, or was last. relaxed: `state` orders it for whoever claims the thread; others display it.
    Atomic<const WaitKind*> wait{nullptr};
    std::source_location kept_where;
  };
  Atomic<Record*> records{nullptr};  // walked by others: records.h. relaxed: by the owner
  uint32_t scopes_opened = 0;

  // ---- Guards `asker`, and whoever walks the records. (records.h)
  Lock records_lock;

  // ---- Shared.
  ThreadState state;
  Atomic<uint32_t> refs;
  // Who has asked it to end as a whole. Guarded by records_lock; constant once set. After the thread's end it is read
  // without the lock.
  Asker asker = Asker::kNobody;

  // The scope it was forked into; null for a root. Any thread.
  ScopeRecord* home() const noexcept {
    // [identity/6] acquire: pairs with [identity/1].
    const uintptr_t place = place_.load(std::memory_order_acquire);
    return (place & (kKnown | kOfRuntime)) == 0 ? reinterpret_cast<ScopeRecord*>(place) : HomeSlow();
  }
  // The same for a thread that is no root.
  ScopeRecord* HomeOfChild() const noexcept { return reinterpret_cast<ScopeRecord*>(PlaceWord()); }
  // The same, by the thread itself. False, and nothing is set, if it has an identity.
  bool HomeUnlessKnown(ScopeRecord*& found) const noexcept {
    const uintptr_t place = place_.load(std::memory_order_relaxed);  // relaxed: it was written before the thread began
    if ((place & kKnown) != 0) return false;
    found = reinterpret_cast<ScopeRecord*>(place);
    return true;
  }
  // Calls nothing, so that a fast path need not save its registers.
  bool IsChildOf(const ScopeRecord& scope) const noexcept {
    // [identity/10] acquire: pairs with [identity/1].
    const uintptr_t place = place_.load(std::memory_order_acquire);
    if (place == reinterpret_cast<uintptr_t>(&scope)) [[likely]]
      return true;
    return (place & kKnown) != 0 &&
           reinterpret_cast<ThreadIdentity*>(place - kKnown)->place == reinterpret_cast<uintptr_t>(&scope);
  }
  RuntimeCore& runtime() const noexcept {
    // [identity/7] acquire: pairs with [identity/1].
    const uintptr_t place = place_.load(std::memory_order_acquire);
    return (place & (kKnown | kOfRuntime)) == 0 ? reinterpret_cast<ScopeRecord*>(place)->runtime : RuntimeSlow();
  }
  // Before it starts: a child is placed in its scope, a root in its runtime.
  void Place(ScopeRecord& scope, uint64_t new_id, const BindingNode* inherited) noexcept {
    place_.store(reinterpret_cast<uintptr_t>(&scope), std::memory_order_relaxed);  // relaxed: the start orders it
    id = new_id;
    bindings = inherited;
  }
  // `known`: its identity, or null.
  void Place(RuntimeCore& core, uint64_t new_id, ThreadIdentity* known = nullptr) noexcept {
    id = new_id;
    bindings = nullptr;
    uintptr_t place = reinterpret_cast<uintptr_t>(&core) + kOfRuntime;
    if (known != nullptr) {
      known->Bind(*this, place);
      place = reinterpret_cast<uintptr_t>(known) + kKnown;
    }
    place_.store(place, std::memory_order_relaxed);  // relaxed: as above
  }

  ThreadKey key() const noexcept { return {this, id}; }

  // Has it got a lock or a permit since it opened `scope`? Now and then true although it has not, if that was hundreds
  // of scopes ago.
  bool HasLockedSince(const ScopeRecord& scope) const noexcept {
    return static_cast<uint8_t>(scopes_opened - last_lock) <= scopes_opened - scope.opened_as;
  }
  // Does it hold a permit that it has got since? Also true if another thread has given that back.
  bool HoldsPermitSince(const ScopeRecord& scope) const noexcept {
    return permits_held > scope.permits_before || permits_held == kManyPermits;
  }

  // Before it begins: must it begin also if it is cancelled by then? (A closure need not: it has promised nothing.)
  bool OwesCleanUp() const noexcept { return leaf != nullptr && leaf->owes_clean_up(); }

  // Has somebody asked for its identity? The thread itself, or its last holder.
  bool known() const noexcept {
    // relaxed: a handle is made by the thread itself, or before it starts. Who gives it an identity for another reason
    // holds a reference.
    return (place_.load(std::memory_order_relaxed) & kKnown) != 0;
  }
  // Null: it was not asked for.
  ThreadIdentity* identity() const noexcept {
    // [identity/2] acquire: pairs with [identity/1].
    const uintptr_t place = place_.load(std::memory_order_acquire);
    return (place & kKnown) != 0 ? reinterpret_cast<ThreadIdentity*>(place - kKnown) : nullptr;
  }
  std::string_view DisplayName() const noexcept {
    const ThreadIdentity* known = identity();
    return known == nullptr ? std::string_view() : known->name;
  }
  // Any thread that keeps this one alive: makes `made` its identity, unless it has one; then `made` is released.
  // Returns the one that it has.
  ThreadIdentity& SetIdentity(ThreadIdentity& made) noexcept;
  // The thread itself. Makes it, if there is none.
  ThreadIdentity& Identity();
  // Any thread that keeps this one alive: the same, but null if there is no memory.
  ThreadIdentity* TryIdentity() noexcept;
  // The run, when no code of the thread's own is left: it has no identity any more. Only of a branch of All.
  void DropIdentity() noexcept;

  // ---- Why it is asked to end as a whole.
  bool asked() const noexcept { return asker != Asker::kNobody; }
  // Under the records lock, once. Asker::kAlone: keeps the cause, as much of it as there is room for.
  void SetAsker(Asker by, const CancelCause& cause) noexcept;
  // What Asker::kAlone has kept.
  const CancelCause& CauseAlone() const noexcept;
  // Called by the run when the thread has nothing left to do and only its handles know it: keeps the cause for them.
  void KeepCause(const CancelCause& cause) noexcept;
  CancelCause kept_cause() const noexcept;

  // The carrier, once, before the first resume, if `leaf` is null: makes the root frame. Null: the thread has ended.
  virtual PromiseBase* Begin() noexcept { return nullptr; }
  // Called by the carrier, with the thread still mounted, when the root frame has ended or has been unwound. Destroys
  // what the block keeps for the user, on the thread that it belongs to. The last touch of the run, except that a
  // scope's child is counted afterwards.
  enum class Ending : uint8_t { kSucceeded, kFailed, kCancelled };
  virtual void OnEnd(Ending ending) noexcept = 0;

  void AddRef() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
  void Release() noexcept {
    if (ReleaseLast()) delete this;
  }
  // The same for a caller that has something to do before it destroys the block: true if it must.
  [[nodiscard]] bool ReleaseLast() noexcept {
    // [block/1] acquire: pairs with [block/2]. The last reference needs no other step: no other thread can take one.
    if (refs.load(std::memory_order_acquire) == 1) return true;
    // [block/2] acq_rel: pairs with itself, with [block/1] and with [block/3]. What every holder did happens before the
    // destruction.
    return refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  // Called by the run when no code of the thread's own is left: from here on its handles say that it has ended.
  void EndIdentity() noexcept {
    if (ThreadIdentity* const known = identity()) [[unlikely]]
      known->ThreadEnded();
  }

  // Is the thread in `scope`, or in a scope that is inside it: nested in it by the same owner, or opened by a thread of
  // it, and so on?
  bool IsInside(const ScopeRecord& scope) const noexcept;

  // The compiler takes the second of each for blocks that a closure or a result makes over-aligned.
  static void* operator new(size_t size) {
    return AllocateOrDie(size, kFrameGranuleBytes, "a virtual thread's control block");
  }
  static void* operator new(size_t size, std::align_val_t alignment) {
    return AllocateOrDie(size, static_cast<size_t>(alignment), "a virtual thread's control block");
  }
  static void operator delete(void* block, size_t size) noexcept { FreeFrame(block, size); }
  static void operator delete(void* block, size_t size, std::align_val_t alignment) noexcept {
    FreeFrame(block, size, static_cast<size_t>(alignment));
  }

 protected:
  explicit ThreadBlock(uint32_t references) noexcept
      : in_frame(false), place_(0), id(0), leaf(nullptr), refs(references) {}
  ThreadBlock(uint32_t references, ThreadState::Unregistered unregistered) noexcept
      : in_frame(false), place_(0), id(0), leaf(nullptr), state(unregistered), refs(references) {}
  // Before the end of a derived class that is its own identity.
  void ForgetIdentity() noexcept { place_.store(0, std::memory_order_relaxed); }  // relaxed: nobody else has it
  enum InFrame { kInFrame };
  explicit ThreadBlock(InFrame) noexcept : in_frame(true), refs(0) {}
  virtual ~ThreadBlock() {
    if (known()) [[unlikely]]
      ReleaseIdentity();
  }

 private:
  // Of a root, or a thread with an identity.
  [[gnu::cold, gnu::noinline]] ScopeRecord* HomeSlow() const noexcept;
  [[gnu::cold, gnu::noinline]] RuntimeCore& RuntimeSlow() const noexcept;
  [[gnu::cold, gnu::noinline]] void ReleaseIdentity() noexcept;
  uintptr_t PlaceWord() const noexcept {
    // [identity/5] acquire: pairs with [identity/1].
    const uintptr_t place = place_.load(std::memory_order_acquire);
    if ((place & kKnown) != 0) [[unlikely]]
      return reinterpret_cast<ThreadIdentity*>(place - kKnown)->place;
    return place;
  }
};

// A thread in no scope. It is asked to end alone, so it keeps the cause itself.
class RootBlock : public ThreadBlock {
 protected:
  explicit RootBlock(uint32_t references) noexcept : ThreadBlock(references) {}
  RootBlock(uint32_t references, ThreadState::Unregistered unregistered) noexcept
      : ThreadBlock(references, unregistered) {}
  ~RootBlock() override {}
  // If it was cancelled.
  const CancelCause& cause() const noexcept { return cause_; }

 public:
  // The executor that it is a task of; null: none. (task_run.h)
  virtual const TaskGroup* keeper() const noexcept { return nullptr; }

 private:
  friend class ThreadBlock;
  union {
    CancelCause cause_;  // not set before
  };
};

inline ScopeRecord::ScopeRecord(ThreadBlock* owning_thread, const Operations& operations) noexcept
    : ScopeRecord(owning_thread, owning_thread->runtime(), operations) {}

using ThreadQueue = List<ThreadBlock, QueueTag>;
using SiblingList = List<ThreadBlock, SiblingTag>;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_BLOCK_H_
