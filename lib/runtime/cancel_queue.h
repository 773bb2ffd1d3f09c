// Layer runtime. Scopes of a runtime that are shut, and still have children to ask. (scope_record.h, ShutDownSome)
//
// A scope that is in here counts itself as one more child, so that it stays until all have been asked. Carriers take
// from the queue between two threads, and whoever has shut a scope begins at once (RunShutdowns). A scope whose turn is
// user code, that of a StopOnCancel, lies in a queue of its own.
//
// Who may call: any thread, with no locks held except where a function says otherwise.
#ifndef WEFT_LIB_RUNTIME_CANCEL_QUEUE_H_
#define WEFT_LIB_RUNTIME_CANCEL_QUEUE_H_

#include "lib/thread/runtime_services.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class RuntimeCore;

class CancelQueue {
 public:
  explicit CancelQueue(RuntimeCore& runtime) noexcept : runtime_(runtime) {}
  CancelQueue(const CancelQueue&) = delete;
  CancelQueue& operator=(const CancelQueue&) = delete;

  // Under the scope's lock, or with none.
  void Enqueue(ScopeRecord& scope) noexcept;
  // Hints. Callbacks: scopes whose turn is user code.
  bool MayHave() const noexcept { return shutdowns_.MayHave() || MayHaveCallbacks(); }
  bool MayHaveCallbacks() const noexcept { return stop_callbacks_.MayHave(); }
  // Asks at most `max` children of the first scope. False: there was none.
  bool RunBatch(int max) noexcept;
  // The same for scopes whose turn is user code. Only where no user code is below on the stack.
  bool RunStopCallbacks() noexcept;
  // For an OS thread that is no carrier, and has asked the thread with that id to end: up to `max` times the same, for
  // scopes of that thread and of those below it, as far as they are among the first in the queue.
  void RunStopCallbacksFor(uint64_t asked, int max) noexcept;
  // Above a destructor of `mounted` that waits: of those alone that `wait` is for, or that `mounted` owns, or a thread
  // that may run meanwhile. Others may want a lock that is held below on the stack.
  bool RunStopCallbacksOf(const PinnedWait& wait, const ThreadBlock* mounted) noexcept;

 private:
  class Scopes {
   public:
    void Push(ScopeRecord& scope) noexcept;
    // The first of which pick(scope) is true; null: there is none among the first `most`.
    template <class Pick>
    ScopeRecord* Pop(Pick pick, int most) noexcept;
    bool MayHave() const noexcept { return pending_.load(std::memory_order_relaxed); }

   private:
    Lock lock_;
    ScopeRecord* front_ = nullptr;
    ScopeRecord* back_ = nullptr;
    Atomic<bool> pending_{false};  // written under lock_. relaxed: a hint
  };

  // How far those who ask for their own look, who do so for each request.
  static constexpr int kLookedAtByOthers = 64;
  template <class Pick>
  bool RunPickedStopCallbacks(Pick pick, int most) noexcept;

  RuntimeCore& runtime_;
  Scopes shutdowns_;
  Scopes stop_callbacks_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CANCEL_QUEUE_H_
