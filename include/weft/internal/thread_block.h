// The control block of a virtual thread: everything that is known of it, beside its frames.
//
// Lifetime: until the thread has ended, and with it whoever else has a reference: the run holds one from start to end,
// a Subtask another. A block that lies in a frame (a branch of All) has none: the frame outlives the thread. Handles
// (VirtualThread) refer to its identity instead, which is made when it is first asked for.
#ifndef WEFT_INTERNAL_THREAD_BLOCK_H_
#define WEFT_INTERNAL_THREAD_BLOCK_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_target.h"
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

struct SiblingTag;  // the children of a scope, or the roots of a runtime

class ThreadBlock : public ListNode<SiblingTag>, public WaitNode {
 public:
  ThreadBlock(const ThreadBlock&) = delete;
  ThreadBlock& operator=(const ThreadBlock&) = delete;

  // The order puts what is made as zero side by side: the blocks of an All are made and gone in a few nanoseconds. The
  // first seven bytes fill the word that the state of the WaitNode begins.

  // ---- The thread's own, or its carrier's.
  bool started = false;
  bool unwind = false;       // to be unwound, not resumed
  bool unwinding = false;    // its frames are being destroyed just now
  bool holds_count = false;  // it runs in its owner's place, and holds the join count of `home` (join_count.h)
  const bool in_frame;       // a branch of All: nothing is to be done when it has succeeded
  // What `scopes_opened` was, modulo 256, when it last got a lock or a permit. Also written by whoever grants one.
  uint8_t last_lock = 0;
  // Semaphore permits that it has got and not given back itself; kManyPermits stands for that many or more, for good.
  uint8_t permits_held = 0;
  static constexpr uint8_t kManyPermits = 255;

  // ---- Constant once started.
  RuntimeCore* runtime = nullptr;
  ScopeRecord* home = nullptr;  // the scope it was forked into; null for a root
  uint64_t id = 0;

  // ---- The thread's own, or its carrier's while it unwinds. Others read them only after they have claimed the thread.
  const BindingNode* bindings = nullptr;
  PromiseBase* leaf = nullptr;  // the frame that goes on when the thread is resumed
  void* waiting_on;             // of `wait`
  // What it is parked in, or was last. relaxed: `state` orders it for whoever claims the thread; others display it.
  Atomic<const WaitKind*> wait{nullptr};
  // Null: nobody has asked. Written by the thread, or before it starts. relaxed: by the thread itself.
  Atomic<ThreadIdentity*> identity{nullptr};
  Atomic<Record*> records{nullptr};  // walked by others: records.h. relaxed: by the owner
  uint32_t scopes_opened = 0;
  ThreadState::Snapshot seen;

  // ---- Guards `root`, and whoever walks the records. (records.h)
  Lock records_lock;

  // ---- Shared.
  // Index of the carrier it was last mounted on, plus one (0: never), and kMountedBit while it is.
  // relaxed: for display.
  Atomic<uint32_t> mounted{0};
  ThreadState state;
  Atomic<uint32_t> refs;

  CancelTarget root;

  static constexpr uint32_t kMountedBit = 1u << 31;

  ThreadKey key() const noexcept { return {this, id}; }

  // Has it got a lock or a permit since it opened `scope`? True also now and then if it has not, for that was hundreds
  // of scopes ago.
  bool HasLockedSince(const ScopeRecord& scope) const noexcept {
    return static_cast<uint8_t>(scopes_opened - last_lock) <= scopes_opened - scope.opened_as;
  }
  // Does it hold a permit that it has got since? True also if another thread has given that back.
  bool HoldsPermitSince(const ScopeRecord& scope) const noexcept {
    return permits_held > scope.permits_before || permits_held == kManyPermits;
  }

  // Before it begins: it is to begin also if it is cancelled by then. (Not so a closure, which has promised nothing.)
  bool OwesCleanUp() const noexcept { return leaf != nullptr && leaf->owes_clean_up(); }

  std::string_view DisplayName() const noexcept {
    // [identity/2] acquire: pairs with [identity/1] and [identity/4].
    const ThreadIdentity* known = identity.load(std::memory_order_acquire);
    return known == nullptr ? std::string_view() : known->name;
  }
  // The thread itself. Makes it, if there is none.
  ThreadIdentity& Identity();

  // The carrier, once, before the first resume, if `leaf` is null: makes the root frame. Null if there is none: the
  // thread has ended.
  virtual PromiseBase* Begin() noexcept { return nullptr; }
  // The carrier, with the thread mounted still, when the root frame has ended, or has been unwound. What the block
  // keeps of the user's is destroyed here, as the thread that it belongs to. The last touch of the run; of a scope's
  // child it leaves the count.
  enum class Ending : uint8_t { kSucceeded, kFailed, kCancelled };
  virtual void OnEnd(Ending ending) noexcept = 0;

  void AddRef() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
  void Release() noexcept {
    if (ReleaseLast()) delete this;
  }
  // The same for a caller that has something to do before it destroys the block: true if it must.
  [[nodiscard]] bool ReleaseLast() noexcept {
    // [block/1] acquire: pairs with [block/2]. The last reference needs no other step: nobody is there to take one.
    if (refs.load(std::memory_order_acquire) == 1) return true;
    // [block/2] acq_rel: pairs with itself, with [block/1] and with [block/3]. What every holder did happens before the
    // destruction.
    return refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  // The run, when no code of the thread's own is left: handles to it say that it has ended.
  void EndIdentity() noexcept {
    if (ThreadIdentity* const known = identity.load(std::memory_order_relaxed)) [[unlikely]]
      known->ThreadEnded();
  }

  // Is the thread in `scope`, or in a scope that is inside it: nested in it by the same owner, or opened by a thread of
  // it, and so on?
  bool IsInside(const ScopeRecord& scope) const noexcept;

  // The compiler takes the second of each for what is over-aligned, by a closure or a result.
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
  explicit ThreadBlock(uint32_t references) noexcept : in_frame(false), refs(references) {}
  ThreadBlock(uint32_t references, ThreadState::Unregistered unregistered) noexcept
      : in_frame(false), state(unregistered), refs(references) {}
  enum InFrame { kInFrame };
  explicit ThreadBlock(InFrame) noexcept : in_frame(true), refs(0) {}
  virtual ~ThreadBlock() {
    if (ThreadIdentity* known = identity.load(std::memory_order_relaxed)) known->Release();
  }
};

using ThreadQueue = List<ThreadBlock, QueueTag>;
using SiblingList = List<ThreadBlock, SiblingTag>;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_BLOCK_H_
