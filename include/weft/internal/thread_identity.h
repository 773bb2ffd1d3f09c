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
  explicit ThreadIdentity(std::string thread_name = {}) noexcept;
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
    return use(AttendLocked());
  }
  // The thread is about to begin. False: it had been started before, or its runtime has ended. Under the lock, `hold`
  // keeps that runtime.
  template <class Hold>
  bool Begin(Hold hold) noexcept {
    LockGuard guard(lock_);
    if (!unstarted() || ended()) return false;
    hold();
    MarkStarted();
    return true;
  }
  // It was not started. A hint, except under lock_.
  bool unstarted() const noexcept;
  bool ended() const noexcept;
  // Under the lock of the joiners: from here on the thread's end takes that. True: it has ended.
  bool Attend() noexcept;
  // The run, when no code of the thread's own is left, if nobody looks at the thread: ends it, and gives up a
  // reference. False: somebody does.
  [[nodiscard]] bool EndAlone() noexcept;
  // The same in any case, and keeps the reference. Lets those who join go on.
  void ThreadEnded() noexcept;
  // The end of the runtime, if the thread was not started: the same, for that cause. False: it was started.
  bool EndUnstarted(const CancelCause& cause) noexcept;
  // How it has ended, as those who join are told.
  virtual absl::Status Outcome();

  void AddRef() noexcept;
  void Release() noexcept;

  // The thread itself, or what makes it: thread-locals, the last made first.
  void DestroyLocals() noexcept;
  void InheritLocals(const ThreadIdentity& from);
  ThreadLocalNode* locals = nullptr;
  ThreadLocalNode* last_used = nullptr;  // of these; null: not known
  bool locals_allowed = true;

  // Pins that are alive (weft/pin.h). relaxed: written by the thread itself, for whoever owns it, or displays it.
  Atomic<uint16_t> pins{0};

  Atomic<uint32_t> permit{0};     // ParkPermit's (lib/thread/park_permit.h)
  // For whoever has to wake it: it cannot end before.
  ThreadBlock& WhileItWaits() const noexcept { return *thread_; }

  Waiters joiners;                // threads that wait for its end
  // Its stage, and the references (lib/thread/thread_end.h). A futex for OS threads that join. A thread that was not
  // started, and will not be, has ended too.
  mutable Atomic<uint32_t> stage;

 protected:
  virtual ~ThreadIdentity() { DestroyLocals(); }  // inherited ones of a thread that never ran
  virtual void Unreferenced() noexcept { delete this; }

 private:
  ThreadBlock* AttendLocked() const noexcept;
  void MarkStarted() noexcept;
  void CheckNoPins() const noexcept;
  uint32_t EndLocked(WaitNodes& joined) noexcept;

  mutable Lock lock_;
  ThreadBlock* thread_ = nullptr;  // guarded by lock_
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_IDENTITY_H_
