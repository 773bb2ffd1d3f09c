// WithStopEvent: a task that ends when an event is set: a signal came, a peer is gone, another part has failed.
//
//   weft::Event terminated;   // set by whoever waits for SIGTERM
//   absl::Status done = co_await weft::WithStopEvent(terminated, Serve(listener));
//   if (weft::ReasonOf(done).kind == weft::CancelReason::Kind::kEventSet) ...
//
// A boundary like WithTimeout(), whose request is made by Event::Set(), on the thread that calls it. To wait for the
// event itself, await its Wait(); to go on with whichever of several comes first, Race().
//
// Lifetime: the event outlives the await, as it outlives a wait; an event that goes before is a CHECK. If Set() stops all
// the tasks that listen, it touches nothing of the event after the last of them may have gone on; if one may end by
// itself meanwhile, the event outlives the call.
//
// Memory ordering: what came before Set() happens before what follows the co_await that it has ended.
//
// Cost: a record in the awaiting frame, and two short locks at each end; nothing is allocated. Set() pays for each task
// that it stops what a request to cancel costs, up to about 15 us for one that is running.
//
// Rejected: a child that waits for the event and asks the task to end. It costs a thread for each task, and is one that
// dumps show.
#ifndef WEFT_STOP_EVENT_H_
#define WEFT_STOP_EVENT_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <source_location>
#include <utility>

#include "weft/cancellation.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/internal/status_traits.h"
#include "weft/sync/event.h"
#include "weft/task.h"

namespace weft {

namespace internal {
template <class T>
class StopEventAwaiter;
}  // namespace internal

// Awaits `task`; if `event` is set meanwhile, or was before, the task is unwound at its next checkpoint, and the result
// is kCancelled, with ReasonOf(): kEventSet. A Reset() does not take that back. Types as for WithTimeout(). Entering is
// not a checkpoint.
template <internal::IntoTask A>
[[nodiscard("co_await it")]] internal::StopEventAwaiter<internal::ValueOf<A>> WithStopEvent(
    Event& event, A&& task, std::source_location where = std::source_location::current());

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class StopEventBoundary : public Boundary, private EventListener {
 public:
  StopEventBoundary(Event& event, std::source_location where) noexcept
      : Boundary(Kind::kOwnRequest), EventListener(&OnSet), event_(event), where_(where) {}
  StopEventBoundary(StopEventBoundary&& other) noexcept : StopEventBoundary(other.event_, other.where_) {}
  ~StopEventBoundary() { Leave(); }

 protected:
  void Enter(PromiseBase& awaiting) noexcept;
  void Leave() noexcept;

 private:
  static void OnSet(EventListener& listener) noexcept;

  Event& event_;
  const std::source_location where_;
};

template <class T>
class StopEventAwaiter : public BoundedTask<T>, public GivesWhenAwaited<StatusOrOf<T>>, private StopEventBoundary {
 public:
  StopEventAwaiter(Event& event, Task<T>&& task, std::source_location where) noexcept
      : BoundedTask<T>(std::move(task)), StopEventBoundary(event, where) {}

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    Enter(awaiting.promise());
    return this->StartTask(awaiting.promise(), "WithStopEvent()");
  }
  StatusOrOf<T> await_resume() {
    Leave();
    return OutcomeAt(*this, this->slot_);
  }
};

}  // namespace internal

template <internal::IntoTask A>
internal::StopEventAwaiter<internal::ValueOf<A>> WithStopEvent(Event& event, A&& task, std::source_location where) {
  return internal::StopEventAwaiter<internal::ValueOf<A>>(event, internal::AsTask(std::forward<A>(task)), where);
}

}  // namespace weft

#endif  // WEFT_STOP_EVENT_H_
