// What handles to a virtual thread refer to, since they may outlive it: its id, perhaps a name, and the thread itself
// as long as it lives.
//
// It is also the cold half of a control block: what few threads have lies here, and is made when something first asks.
// A thread outside of scopes has it in its control block (thread_builder.h).
#ifndef WEFT_INTERNAL_THREAD_IDENTITY_H_
#define WEFT_INTERNAL_THREAD_IDENTITY_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/lock.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

class ThreadBlock;

// The value that a thread has of a thread-local. (weft/virtual_thread_local.h)
struct ThreadLocalNode;
struct ThreadLocalOps {
  void (*destroy)(ThreadLocalNode& node) noexcept;
  ThreadLocalNode* (*copy)(ThreadLocalNode& node);  // null: it is not inherited
};
struct ThreadLocalNode {
  explicit ThreadLocalNode(const ThreadLocalOps& of) noexcept : ops(of) {}
  ThreadLocalNode* next = nullptr;
  uint64_t key = 0;
  const ThreadLocalOps& ops;
};

// Shared by all handles to a thread; may outlive it. Reference-counted.
class ThreadIdentity {
 public:
  // Bits of a word. It is a futex for OS threads that join; they set kAwaited first. A thread that was not started, and
  // will not be, is kEnded too.
  enum Stage : uint32_t { kAlive = 0, kUnstarted = 1, kEnded = 2, kAwaited = 4 };

  explicit ThreadIdentity(std::string thread_name = {}) noexcept : name(std::move(thread_name)) {}
  ThreadIdentity(const ThreadIdentity&) = delete;
  ThreadIdentity& operator=(const ThreadIdentity&) = delete;

  // Before others know it: whose it is, and what the thread's own word said of its place. (ThreadBlock::place_)
  void Bind(ThreadBlock& thread, uintptr_t of_thread) noexcept;

  uint64_t id = 0;      // from then on
  uintptr_t place = 0;  // from then on
  const std::string name;
  union {
    CancelCause cause;  // of a thread that was asked to end alone: Asker::kAlone; not set before
  };

  // Calls use(thread), or use(nullptr) if the thread has ended, which it cannot do meanwhile.
  template <class Use>
  auto With(Use use) const {
    LockGuard guard(lock_);
    return use(thread_);
  }
  // The thread is about to begin. False: it had been started before, or its runtime has ended. Under the lock, `hold`
  // keeps that runtime.
  template <class Hold>
  bool Begin(Hold hold) noexcept {
    LockGuard guard(lock_);
    if (!unstarted() || ended()) return false;
    hold();
    stage.fetch_and(~uint32_t{kUnstarted}, std::memory_order_relaxed);  // relaxed: whoever joins waits for the end
    return true;
  }
  // It was not started. relaxed: a hint, except under lock_.
  bool unstarted() const noexcept { return (stage.load(std::memory_order_relaxed) & kUnstarted) != 0; }
  // [identity/8] acquire: pairs with [identity/9]. What the thread did happens before a true.
  bool ended() const noexcept { return (stage.load(std::memory_order_acquire) & kEnded) != 0; }
  // The run, when no code of the thread's own is left. Lets those who join go on.
  void ThreadEnded() noexcept;
  // The end of the runtime, if the thread was not started: the same, for that cause. False: it was started.
  bool EndUnstarted(const CancelCause& cause) noexcept;
  // How it has ended, as those who join are told.
  virtual absl::Status Outcome();

  void AddRef() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
  void Release() noexcept {
    // [identity/3] acq_rel: pairs with itself. What every holder did happens before the destruction.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) Unreferenced();
  }

  // The thread itself, or what makes it: thread-locals. The values are in the order of their last use.
  void DestroyLocals() noexcept;
  void InheritLocals(const ThreadIdentity& from);
  ThreadLocalNode* locals = nullptr;
  bool locals_allowed = true;

  // Pins that are alive (weft/pin.h). relaxed: written by the thread itself, for whoever owns it, or displays it.
  Atomic<uint16_t> pins{0};

  Atomic<uint32_t> permit{0};     // ParkPermit's (lib/thread/park_permit.h)
  // For whoever has to wake it: it cannot end before.
  ThreadBlock& WhileItWaits() const noexcept { return *thread_; }

  Waiters joiners;                // threads that wait for its end
  Atomic<uint32_t> stage{kAlive};  // kEnded is set under lock_ and that of the joiners

 protected:
  virtual ~ThreadIdentity() { DestroyLocals(); }  // inherited ones of a thread that never ran
  virtual void Unreferenced() noexcept { delete this; }

  Atomic<uint32_t> refs_{1};

 private:
  uint32_t EndLocked(WaitNodes& joined) noexcept;

  mutable Lock lock_;
  ThreadBlock* thread_ = nullptr;  // guarded by lock_
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_IDENTITY_H_
