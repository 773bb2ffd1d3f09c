// ConditionVariable: a holder of a lock waits, without the lock, until another holder has changed something.
//
//   weft::Mutex mutex;
//   weft::ConditionVariable changed;
//   std::deque<Order> orders;                                                       // guarded by mutex
//
//   weft::MutexGuard guard = co_await mutex.Lock();
//   co_await changed.Wait(guard, [&] { return !orders.empty(); });                  // guard holds the mutex again
//   ...
//   orders.push_back(order);
//   changed.NotifyOne();                                                            // best while the mutex is held
//
// For values that pass from one thread to another use a Channel, for something that happens once an Event: these need
// no lock.
//
// Members: Wait(), WaitFor(), WaitBlocking(), NotifyOne(), NotifyAll(), QueueLength(). The guard is that of a Mutex, a
// RecursiveMutex, all of whose holds are given back and restored, or the writer's of a SharedMutex. All who wait at a
// time must have the same lock, otherwise it is a CHECK.
//
// The lock is held again whenever a wait has ended: also when the thread is cancelled, whose destructors then run with
// the lock. A wait that was notified is not cancelled any more. So a signal is never lost: it goes to a thread that
// gets the lock and goes on. A wait that ended was notified; there are no other wake-ups. But others may have had the
// lock in between, so look again, or pass the predicate.
//
// Fair: NotifyOne() takes the first that waits, and puts it at the end of the lock's queue, where it is not woken
// before it has the lock.
// Lifetime: it must outlive its waits and the calls to it. A wait lasts until it has the lock again, also one that was
// notified. It is a CHECK to destroy it while a thread waits that was not notified.
// Memory ordering: that of the lock.
// Cancellation: Wait() is a checkpoint, on entry too. A cancelled wait ends when it has the lock, for which it waits
// like others. So, like any clean-up, it must not wait for a lock that its holder took before it opened the scope which
// this wait is in. (cancellation.h)
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a wait is a short lock of the condition and of the lock, twice; nothing is allocated, except a frame by the
// forms with a predicate or a timeout. NotifyAll() is O(waiters).
#ifndef WEFT_SYNC_CONDITION_VARIABLE_H_
#define WEFT_SYNC_CONDITION_VARIABLE_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/sync/condition_state.h"
#include "weft/sync/lock_core.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

using ConditionWait = ConditionWaitOf<ThreadBlock>;
class ConditionAwaiter;

class ConditionCore : public ConditionState<ThreadBlock> {
 public:
  ConditionCore() = default;
  ConditionCore(const ConditionCore&) = delete;
  ConditionCore& operator=(const ConditionCore&) = delete;
  ~ConditionCore();  // a CHECK if a thread waits

  // The lock that the guard holds now. A CHECK if it holds nothing.
  static LockCore& HeldBy(const ExclusiveHold& guard, const char* call) noexcept;
  static void Suspend(ConditionWait& wait, AwaitingFrame frame) noexcept;  // for await_suspend
  void Block(LockCore& held) noexcept;
  // The same, with what a debug build notes.
  void BlockAt(LockCore& held, std::source_location where) noexcept {
    if constexpr (kNotesSites) held.NoteOrder(where, LockCore::Taking::kAgain);
    Block(held);
    if constexpr (kNotesSites) held.NoteAgain();
  }
  void Notify(int64_t count) noexcept;
  int64_t QueueLength() noexcept;
};

}  // namespace internal

class ConditionVariable {
 public:
  ConditionVariable() = default;

  // Gives the guard's lock back, waits until it is notified, and has the lock again. A CHECK if the guard holds nothing
  // when the wait begins. The guard must stay where it is until the wait is over. co_await it.
  internal::ConditionAwaiter Wait(internal::ExclusiveHold& guard [[clang::lifetimebound]]) noexcept;
  // Waits until `predicate()` is true, which it calls with the lock held. Does not wait if it is true at once.
  template <std::predicate Predicate>
  Task<void> Wait(internal::ExclusiveHold& guard, Predicate predicate,
                  std::source_location where = std::source_location::current());
  // The same, for `timeout` at most; to take the lock back may take longer. They yield false if the time was up first;
  // with a predicate, its last result.
  auto WaitFor(internal::ExclusiveHold& guard, TimeSpan timeout,
               std::source_location where = std::source_location::current());
  template <std::predicate Predicate>
  Task<bool> WaitFor(internal::ExclusiveHold& guard, TimeSpan timeout, Predicate predicate,
                     std::source_location where = std::source_location::current());
  // Wait() for an OS thread, which it blocks. On a carrier it is a CHECK.
  void WaitBlocking(internal::ExclusiveHold& guard,
                    std::source_location where = std::source_location::current()) noexcept {
    core_.BlockAt(internal::ConditionCore::HeldBy(guard, "WaitBlocking"), where);
  }

  // Notifies the first that waits, or all; each goes on when it has the lock. Any thread may call them, with or without
  // the lock. They do not wait.
  void NotifyOne() noexcept { core_.Notify(1); }
  void NotifyAll() noexcept { core_.Notify(INT64_MAX); }
  // How many wait that were not notified. The number may have changed by the time it is read. O(n).
  int64_t QueueLength() noexcept { return core_.QueueLength(); }

 private:
  internal::ConditionCore core_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class [[nodiscard("co_await the wait")]] ConditionAwaiter {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  ConditionAwaiter(ConditionCore& condition, const ExclusiveHold& guard) noexcept
      : guard_(guard), wait_(condition, nullptr) {}
  // Since Wait() the guard may have been unlocked, or moved: what counts is what it holds now.
  bool await_ready(std::source_location where = std::source_location::current()) noexcept {
    AtCheckpoint();
    wait_.lock = &ConditionCore::HeldBy(guard_, "Wait");
    if constexpr (kNotesSites) held().NoteOrder(where, LockCore::Taking::kAgain);
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    ConditionCore::Suspend(wait_, {frame.promise(), where});
  }
  void await_resume() const noexcept {
    if constexpr (kNotesSites) held().NoteAgain();
  }

 private:
  LockCore& held() const noexcept { return static_cast<LockCore&>(*wait_.lock); }
  const ExclusiveHold& guard_;
  ConditionWait wait_;
};

}  // namespace internal

inline internal::ConditionAwaiter ConditionVariable::Wait(internal::ExclusiveHold& guard) noexcept {
  return {core_, guard};
}

// What a debug build notes is where the caller waits, not where this does.
template <std::predicate Predicate>
Task<void> ConditionVariable::Wait(internal::ExclusiveHold& guard, Predicate predicate, std::source_location where) {
  using internal::ConditionCore;
  static_cast<void>(ConditionCore::HeldBy(guard, "Wait"));  // it is called with the lock
  if (predicate()) {
    co_await internal::CheckpointAwaiter();
    co_return;
  }
  do {
    if constexpr (internal::kNotesSites) {
      ConditionCore::HeldBy(guard, "Wait").NoteOrder(where, internal::LockCore::Taking::kAgain);
    }
    co_await Wait(guard);
  } while (!predicate());
}

inline auto ConditionVariable::WaitFor(internal::ExclusiveHold& guard, TimeSpan timeout,
                                       std::source_location where) {
  return MoveOnAfter(timeout, Wait(guard), where);
}

template <std::predicate Predicate>
Task<bool> ConditionVariable::WaitFor(internal::ExclusiveHold& guard, TimeSpan timeout, Predicate predicate,
                                      std::source_location where) {
  if (co_await MoveOnAfter(timeout, Wait(guard, [&predicate] { return predicate(); }, where))) co_return true;
  co_return predicate();
}

}  // namespace weft

#endif  // WEFT_SYNC_CONDITION_VARIABLE_H_
