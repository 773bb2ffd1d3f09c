// What handles to a virtual thread refer to, since they may outlive it: its id, perhaps a name, and the thread itself
// as long as it lives.
//
// It is also the cold half of a control block: what few threads have lies here, and is made when something first asks.
#ifndef WEFT_INTERNAL_THREAD_IDENTITY_H_
#define WEFT_INTERNAL_THREAD_IDENTITY_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>
#include <utility>

#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class ThreadBlock;

// Shared by all handles to a thread; may outlive it. Reference-counted.
class ThreadIdentity {
 public:
  explicit ThreadIdentity(std::string thread_name = {}) noexcept : name(std::move(thread_name)) {}
  ThreadIdentity(const ThreadIdentity&) = delete;
  ThreadIdentity& operator=(const ThreadIdentity&) = delete;

  // Before others know it: whose it is, and what the thread's own word said of its place. (ThreadBlock::place_)
  void Bind(const ThreadBlock& thread, uintptr_t of_thread) noexcept;

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
  void ThreadEnded() noexcept {
    LockGuard guard(lock_);
    thread_ = nullptr;
  }
  void AddRef() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
  void Release() noexcept {
    // [identity/3] acq_rel: pairs with itself. What every holder did happens before the destruction.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  ~ThreadIdentity() {}

  mutable Lock lock_;
  const ThreadBlock* thread_ = nullptr;  // guarded by lock_
  Atomic<uint32_t> refs_{1};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_IDENTITY_H_
