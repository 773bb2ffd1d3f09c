// Mutex: one virtual thread at a time, also across suspensions.
//
//   weft::Mutex mutex;
//   weft::MutexGuard guard = co_await mutex.Lock();   // unlocked by its destructor, on every path
//   co_await WriteBoth();
//
// Unlike an OS mutex, it parks the virtual thread, not its carrier. It may be held over a co_await, and unlocked on
// another carrier than the one on which it was locked. It is not recursive: a thread that locks it twice waits for
// itself.
//
// Fair: granted in the order of Lock().
// Lifetime: the mutex must outlive its guards and waits; otherwise it is a CHECK.
// Memory ordering: what came before an unlock happens before what follows the next Lock().
// Cancellation: Lock() is a checkpoint. A lock that was granted is delivered. A cancelled wait holds nothing.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock of the OS's kind; nothing is allocated.
#ifndef WEFT_SYNC_MUTEX_H_
#define WEFT_SYNC_MUTEX_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>

#include "weft/internal/drain_nodes.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft {

class Mutex;

class [[nodiscard("a dropped guard unlocks at once")]] MutexGuard {
 public:
  MutexGuard(MutexGuard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
  // Unlocks its mutex, and takes over the other guard's.
  MutexGuard& operator=(MutexGuard&& other) noexcept {
    Mutex* const taken = std::exchange(other.mutex_, nullptr);
    Unlock();
    mutex_ = taken;
    return *this;
  }
  ~MutexGuard() { Unlock(); }

  // Any thread may call it. Idempotent.
  void Unlock() noexcept;

 private:
  friend class Mutex;
  explicit MutexGuard(Mutex* mutex) noexcept : mutex_(mutex) {}
  Mutex* mutex_;
};

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex();  // a CHECK if it is locked, or if a thread waits

  // Waits until the mutex is free, and locks it. co_await it; yields a MutexGuard.
  auto Lock() noexcept { return Awaiter(*this); }
  // Returns a guard if the mutex is free, else nothing. Any thread may call it. Does not wait.
  std::optional<MutexGuard> TryLock() noexcept;

 private:
  friend class MutexGuard;
  class [[nodiscard("co_await the lock")]] Awaiter : public internal::GivesWhenAwaited<MutexGuard> {
   public:
    using WeftAwaitable = void;
    explicit Awaiter(Mutex& mutex) noexcept : mutex_(mutex) {}
    bool await_ready() const noexcept { return internal::AtCheckpoint() && mutex_.Take(); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return mutex_.Suspend({frame.promise(), where});
    }
    MutexGuard await_resume() const noexcept { return MutexGuard(&mutex_); }
    internal::SelectPart ForSelect() const noexcept { return {&mutex_, &kSelect}; }

   private:
    Mutex& mutex_;
  };

  bool Take() noexcept;
  bool TakeLocked() noexcept;
  bool Suspend(internal::AwaitingFrame frame) noexcept;
  void Unlock() noexcept;
  void EndWantedIfNobodyWaits() noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  void WantLocked() noexcept;
  void PressHolder() noexcept;
  static const internal::WaitKind kWait;
  static const internal::SelectableWait<internal::ThreadBlock> kSelect;

  internal::Waiters waiters_;
  // ---- Guarded by waiters_.lock.
  bool held_ = false;
  bool wanted_ = false;  // listed among the locks that threads wait for
  internal::HeldLock holder_;
};

}  // namespace weft

#endif  // WEFT_SYNC_MUTEX_H_
