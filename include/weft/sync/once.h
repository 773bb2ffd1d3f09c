// Once: something is done by one virtual thread, and others that want it wait until it is done. (std::call_once.)
//
//   weft::Once migrated;
//   absl::Status done = co_await migrated.Run([&] { return Migrate(database); });     // any number of threads
//
// Members: Run(), IsDone(). For a value that is made once use a Lazy (lazy.h).
//
// The first Run() calls its function, and awaits the Task if that returns one. Others wait meanwhile. When it has
// succeeded, they go on, and later calls do nothing. If it fails, because it throws or returns a status that is not OK,
// its own caller gets the failure; if it is cancelled, its caller is cancelled. In both cases the thread that has
// waited longest runs its own function next.
//
// A function that calls Run() of the same Once would wait for itself: it is a CHECK.
//
// Lifetime: the Once must outlive the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what the function did happens before what follows every Run() that finds it done, and before what
// follows an IsDone() that returned true.
// Cancellation: Run() is a checkpoint. A wait that is cancelled has no effect on the others.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: Run() takes a frame from the cache, even when it is done. IsDone() is one load. Waking allocates nothing.
#ifndef WEFT_SYNC_ONCE_H_
#define WEFT_SYNC_ONCE_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/atomic.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_key.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"
#include "weft/task.h"

namespace weft {

class Once {
 public:
  Once() = default;
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;
  ~Once();  // a CHECK if a thread runs it, or waits

  // Has it been done? Any thread may call it. Does not wait.
  bool IsDone() const noexcept {
    // [once/1] acquire: pairs with [once/2].
    return done_.load(std::memory_order_acquire);
  }

  // Returns when it has been done, by this call or by another one. `function` takes nothing, and returns nothing or an
  // absl::Status, or a Task of either. Yields what the function yields; nothing, or OK, if another call has done it.
  template <class F>
    requires std::invocable<F&>  // pass a function that takes no arguments
  Task<internal::YieldOf<F>> Run(F function, std::source_location where = std::source_location::current());

 private:
  // What a Run() has got: the turn to do it, or nothing, because it is done. Its destructor passes the turn on, unless
  // it was done.
  class Turn {
   public:
    explicit Turn(Once* once) noexcept : once_(once) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (once_ != nullptr) once_->PassOn();
    }
    bool mine() const noexcept { return once_ != nullptr; }
    void Finish() noexcept { std::exchange(once_, nullptr)->Finish(); }

   private:
    Once* once_;
  };

  class [[nodiscard("co_await the turn")]] Awaiter {
   public:
    using WeftAwaitable = void;
    Awaiter(Once& once, std::source_location where) noexcept : once_(once), where_(where) {}
    bool await_ready() noexcept { return internal::AtCheckpoint() && (once_.IsDone() || once_.Take(*this)); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      return once_.Suspend(*this, {frame.promise(), where_});
    }
    Turn await_resume() const noexcept { return Turn(mine_ ? &once_ : nullptr); }

   private:
    friend class Once;
    Once& once_;
    const std::source_location where_;
    bool mine_ = false;
  };

  bool Take(Awaiter& awaiter) noexcept;
  bool TakeLocked(Awaiter& awaiter) noexcept;
  bool Suspend(Awaiter& awaiter, internal::AwaitingFrame frame) noexcept;
  void Finish() noexcept;
  void PassOn() noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  static const internal::WaitKind kWait;

  internal::Waiters waiters_;
  internal::Atomic<bool> done_{false};  // written under waiters_.lock. relaxed: read under it
  internal::ThreadKey runner_;          // who has the turn; no address: nobody. Guarded by waiters_.lock
};

// ---------------------------------------------------------------------------------------------------------------------

template <class F>
  requires std::invocable<F&>
Task<internal::YieldOf<F>> Once::Run(F function, std::source_location where) {
  using Yield = internal::YieldOf<F>;
  static_assert(std::is_void_v<Yield> || std::is_same_v<Yield, absl::Status>,
                "the function of Once::Run() yields nothing, or an absl::Status; a Lazy has a value");
  Turn turn = co_await Awaiter(*this, where);
  if constexpr (std::is_void_v<Yield>) {
    if (!turn.mine()) co_return;
    if constexpr (internal::GivesTask<F&>) {
      co_await internal::AsTask(function());
    } else {
      function();
    }
    turn.Finish();
  } else {
    if (!turn.mine()) co_return absl::OkStatus();
    absl::Status status;
    if constexpr (internal::GivesTask<F&>) {
      status = co_await internal::AsTask(function());
    } else {
      status = function();
    }
    if (status.ok()) turn.Finish();
    co_return status;
  }
}

}  // namespace weft

#endif  // WEFT_SYNC_ONCE_H_
