// Semaphore: a limit on how many virtual threads do something at a time.
//
//   weft::Semaphore connections(10'000);
//   weft::Permit permit = co_await connections.Acquire();   // released by its destructor, on every path
//
// Members: Acquire(), TryAcquire(), available(). A Permit can be moved; Release() gives it back early.
//
// Fair: permits are granted in the order of Acquire(); no thread overtakes a waiter.
// Lifetime: the semaphore must outlive its permits and waits; otherwise it is a CHECK.
// Memory ordering: what came before a permit's release happens before what follows the Acquire() that gets it.
// Cancellation: Acquire() is a checkpoint. A permit that was granted is delivered. A cancelled wait holds none.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock; nothing is allocated.
#ifndef WEFT_SYNC_SEMAPHORE_H_
#define WEFT_SYNC_SEMAPHORE_H_

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

class Semaphore;

class [[nodiscard("a dropped Permit is released at once")]] Permit {
 public:
  Permit(Permit&& other) noexcept
      : semaphore_(std::exchange(other.semaphore_, nullptr)), receipt_(other.receipt_) {}
  // Releases its permit, and takes over the other's.
  Permit& operator=(Permit&& other) noexcept {
    Semaphore* const taken = std::exchange(other.semaphore_, nullptr);
    const internal::PermitReceipt receipt = other.receipt_;
    Release();
    semaphore_ = taken;
    receipt_ = receipt;
    return *this;
  }
  ~Permit() { Release(); }

  // Any thread may call it. Idempotent.
  void Release() noexcept;

 private:
  friend class Semaphore;
  explicit Permit(Semaphore* semaphore) noexcept;
  Semaphore* semaphore_;
  internal::PermitReceipt receipt_;
};

class Semaphore {
 public:
  // `permits` >= 0.
  explicit Semaphore(int64_t permits);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore();  // a CHECK if a thread waits, or if a permit is held

  // Waits until a permit is free, and takes it. co_await it; yields a Permit.
  auto Acquire() noexcept { return Awaiter(*this); }
  // Returns a permit if one is free and no thread waits, else nothing. Any thread may call it. Does not wait.
  std::optional<Permit> TryAcquire() noexcept;
  // How many permits are free. The number may have changed by the time it is read.
  int64_t available() noexcept;

 private:
  friend class Permit;
  class [[nodiscard("co_await the permit")]] Awaiter : public internal::GivesWhenAwaited<Permit> {
   public:
    using WeftAwaitable = void;
    explicit Awaiter(Semaphore& semaphore) noexcept : semaphore_(semaphore) {}
    bool await_ready() const noexcept {
      return internal::AtCheckpoint() && semaphore_.Take(internal::CurrentThreadId());
    }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return semaphore_.Suspend({frame.promise(), where});
    }
    Permit await_resume() const noexcept { return Permit(&semaphore_); }
    internal::SelectPart ForSelect() const noexcept { return {&semaphore_, &kSelect}; }

   private:
    Semaphore& semaphore_;
  };

  bool Take(uint64_t thread) noexcept;
  bool TakeLocked(uint64_t thread) noexcept;
  bool Suspend(internal::AwaitingFrame frame) noexcept;
  void Release() noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  static const internal::WaitKind kWait;
  static const internal::SelectableWait<internal::ThreadBlock> kSelect;

  internal::Waiters waiters_;
  const int64_t permits_;
  // ---- Guarded by waiters_.lock.
  int64_t available_;    // zero while anyone waits
  uint64_t last_taker_;  // the thread that got a permit last; 0: none has
};

}  // namespace weft

#endif  // WEFT_SYNC_SEMAPHORE_H_
