// Event: virtual threads wait until another thread says that something has happened.
//
//   weft::Event ready;
//   ... co_await ready.Wait();      // any number of virtual threads
//   ... ready.Set();                // any thread, also an OS thread that is no carrier
//
// Members: Wait(), Set(), Reset(), IsSet(). WithStopEvent() ends a task when the event is set (stop_event.h). A set
// event stays set until Reset(): later waits do not wait.
//
// Lifetime: the event must outlive its waits and the calls to it. Set() does not touch the event after the last waiter
// that it wakes may have run. For the tasks that Set() stops, stop_event.h says the same.
//
// Memory ordering: what came before Set() happens before what follows a Wait() that it ended, or an IsSet() that saw
// it.
//
// Cancellation: Wait() is a checkpoint. A wait that Set() has ended is not cancelled.
//
// Signal handlers must not call any function of Weft's, Set() included. Set() takes locks, and the handler may have
// interrupted the thread that holds one of them. Await weft::Signals instead (signal.h).
//
// Cost: Wait() on a set event is one load, otherwise a short lock. Set() is O(waiters).
#ifndef WEFT_SYNC_EVENT_H_
#define WEFT_SYNC_EVENT_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <source_location>

#include "weft/internal/atomic.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft {

namespace internal {

struct ListenerTag;

// What Set() calls besides the waiters: a WithStopEvent() that has been entered. (stop_event.h)
struct EventListener : ListNode<ListenerTag> {
  explicit EventListener(void (*function)(EventListener&) noexcept) noexcept : on_set(function) {}

  void (*const on_set)(EventListener&) noexcept;  // called under the lock of the event's listeners
  ThreadBlock* thread = nullptr;                  // whose it is
};

using EventListeners = List<EventListener, ListenerTag>;

class StopEventBoundary;

}  // namespace internal

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();  // a CHECK if a thread waits, or if a WithStopEvent() is listening

  // Wakes all waiters, in the order in which they came. Later waits return at once. Idempotent. Any thread may call it,
  // but no signal handler. Does not block.
  void Set() noexcept;
  // Later waits wait again. Waiters that were woken are not affected.
  void Reset() noexcept;
  // [event/1] acquire: pairs with [event/2].
  bool IsSet() const noexcept { return set_.load(std::memory_order_acquire); }

  // Waits until the event is set. co_await it.
  auto Wait() noexcept { return Awaiter(*this); }

 private:
  class [[nodiscard("co_await the wait")]] Awaiter {
   public:
    using WeftAwaitable = void;
    explicit Awaiter(Event& event) noexcept : event_(event) {}
    bool await_ready() const noexcept { return internal::AtCheckpoint() && event_.IsSet(); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return event_.Suspend({frame.promise(), where});
    }
    void await_resume() const noexcept {}
    internal::SelectPart ForSelect() const noexcept { return {&event_, &kSelect}; }

   private:
    Event& event_;
  };

  friend class internal::StopEventBoundary;
  // From now on Set() calls `listener`. Returns false if the event is set already.
  bool Listen(internal::EventListener& listener) noexcept;
  void StopListening(internal::EventListener& listener) noexcept;
  void Tell(internal::EventListeners& told) noexcept;

  bool Suspend(internal::AwaitingFrame frame) noexcept;
  static const internal::WaitKind kWait;
  static const internal::SelectableWait<internal::ThreadBlock> kSelect;

  internal::Waiters waiters_;
  internal::Atomic<bool> set_{false};  // written under waiters_.lock. relaxed: read under it
  bool listened_ = false;              // there are listeners; written under both locks
  // Taken before the records lock of a listener's thread, and so before waiters_.lock.
  internal::Lock listeners_lock_;
  internal::EventListeners listeners_;  // guarded by listeners_lock_
  int entered_ = 0;                     // boundaries that have yet to leave; guarded by listeners_lock_
};

}  // namespace weft

#endif  // WEFT_SYNC_EVENT_H_
