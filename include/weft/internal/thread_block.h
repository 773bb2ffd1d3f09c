// The control block of a virtual thread: everything that is known of it, beside its frames.
//
// Lifetime: counted. The run holds one reference from start to end; handles (VirtualThread, Subtask) hold others.
#ifndef WEFT_INTERNAL_THREAD_BLOCK_H_
#define WEFT_INTERNAL_THREAD_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_state.h"

namespace weft::internal {

class RuntimeCore;
struct BindingNode;

// Why a virtual thread is parked, as dumps and deadlock reports print it.
enum class ParkReason : uint8_t {
  kNone, kJoin, kDrain, kSleep, kYield, kEvent, kSemaphore, kMutex, kReceive, kSend, kAccept, kConnect,
};
const char* ParkReasonName(ParkReason reason) noexcept;

// One kind of wait. Static; a parked thread points to its kind.
struct WaitKind {
  ParkReason reason;
  bool timed;  // it ends by itself, in time
  // Whoever brings a request, having claimed the parked thread, under its records lock: takes the wait back. True: it was
  // still pending, and now nobody will wake the thread for it. False: a wake-up is under way, or will come soon.
  bool (*withdraw)(ThreadBlock& thread) noexcept;
  // A wait that ended in a thread that is cancelled by then counts as cancelled. For joins: the same request that cancels the
  // owner ends its children, and an owner that saw them all ended would take that for the end of its work.
  bool cancel_wins = false;
};

struct QueueTag;    // the run queue, or the waiters of what it is parked in: a thread is in one at most
struct SiblingTag;  // the children of a scope, or the roots of a runtime

class ThreadBlock : public ListNode<QueueTag>, public ListNode<SiblingTag> {
 public:
  ThreadBlock(const ThreadBlock&) = delete;
  ThreadBlock& operator=(const ThreadBlock&) = delete;

  // ---- Constant once started.
  RuntimeCore* runtime = nullptr;
  ScopeRecord* home = nullptr;  // the scope it was forked into; null for a root
  uint64_t id = 0;
  std::unique_ptr<const std::string> name;

  // ---- The thread's own, or its carrier's while it unwinds. Others read them only after they have claimed the thread.
  PromiseBase* leaf = nullptr;  // the frame that goes on when the thread is resumed
  Atomic<const WaitKind*> wait{nullptr};  // what it is parked in, or was last; atomic for those who only display it
  void* waiting_on = nullptr;
  const BindingNode* bindings = nullptr;
  uint32_t scopes_opened = 0;
  ThreadState::Snapshot seen;
  bool started = false;
  bool unwind = false;     // to be unwound, not resumed
  bool unwinding = false;  // its frames are being destroyed just now

  // ---- Guarded by the lock of what it waits for. (waiters.h)
  bool granted = false;

  // ---- Guarded by records_lock; only the thread itself changes `records`.
  Lock records_lock;
  Record* records = nullptr;
  Boundary root{Record::Kind::kCatch};

  // ---- Shared.
  ThreadState state;
  Atomic<uint32_t> refs{1};
  // Index of the carrier it was last mounted on, plus one (0: never), and kMountedBit while it is. For display.
  Atomic<uint32_t> mounted{0};
  static constexpr uint32_t kMountedBit = 1u << 31;

  std::string_view DisplayName() const noexcept { return name == nullptr ? std::string_view() : *name; }

  // The carrier, once, before the first resume, if `leaf` is null: makes the root frame. Null if there is none: the thread has ended.
  virtual PromiseBase* Begin() noexcept { return nullptr; }
  // The carrier, when the root frame has ended or been unwound. The last touch of the run.
  virtual void OnEnd(bool cancelled) noexcept = 0;

  void AddRef() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }  // the caller has one already
  void Release() noexcept {
    // [ref/1] acq_rel: what every holder did happens before the destruction.
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // Is the thread in `scope`, or in a scope that is inside it: nested in it by the same owner, or opened by a thread of it, and so
  // on? What encloses a scope does not change while it is open, and it is open while it has a thread.
  bool IsInside(const ScopeRecord& scope) const noexcept {
    for (const ScopeRecord* at = home; at != nullptr;) {
      if (at == &scope) return true;
      const Record* outer = at->outer;
      while (outer != nullptr && outer->kind != Record::Kind::kScope) outer = outer->outer;
      at = outer != nullptr ? static_cast<const ScopeRecord*>(outer) : at->owner->home;
    }
    return false;
  }

  static void* operator new(size_t size) { return AllocateOrDie(size, "a virtual thread's control block"); }
  static void operator delete(void* block, size_t size) noexcept { FreeFrame(block, size); }

 protected:
  ThreadBlock() = default;
  virtual ~ThreadBlock() = default;
};

using ThreadQueue = List<ThreadBlock, QueueTag>;
using SiblingList = List<ThreadBlock, SiblingTag>;

// "VirtualThread[#25,name]/runnable@carrier-3"
std::string DescribeThread(const ThreadBlock& thread);

// ---- Cancellation. (thread_cancel.cc)

// The boundary at which an unwinding of `thread` has to stop: the outermost whose request is not hidden by a shield, or the
// innermost kCatch inside that; null if nothing is requested. Under the records lock, or by the thread itself while it has
// no concurrent request.
Boundary* FindTarget(ThreadBlock& thread) noexcept;

// The thread's own; takes the records lock only if something was requested.
bool IsCancelled(ThreadBlock& thread) noexcept;

// Any thread; the caller keeps `thread` alive. Asks that `thread` be unwound to `boundary` (its root, or one it has open):
// shuts the scopes inside, and interrupts a wait. Idempotent.
void RequestCancel(ThreadBlock& thread, Boundary& boundary, const CancelReason& reason) noexcept;

// The thread's own. Push says why the thread is cancelled at that moment, or kNone if it is not. Pop checks the nesting.
CancelReason PushRecord(ThreadBlock& thread, Record& record) noexcept;
void PopRecord(ThreadBlock& thread, Record& record) noexcept;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_BLOCK_H_
