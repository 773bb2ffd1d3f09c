// WithStopEvent: a task that ends when an event is set: a signal came, a peer is gone, another part has failed.
//
//   weft::Event terminated;   // set by the OS thread that waits for SIGTERM
//   absl::Status done = co_await weft::WithStopEvent(terminated, Serve(listener));
//   if (weft::ReasonOf(done).kind == weft::CancelReason::Kind::kEventSet) ...
//
// A boundary like WithTimeout(). Event::Set() makes the request, on the thread that calls it. To wait for the event
// itself, await its Wait(). To go on with the first of several waits, use Race().
//
// Lifetime: the event must outlive the await; an event that is destroyed before is a CHECK. The last task that Set()
// stops may destroy the event. But if a task that listens may end by itself during Set(), the event must outlive that
// call as well.
//
// Memory ordering: what came before Set() happens before what follows the co_await that it has ended.
//
// Cost: a record in the awaiting frame, and two short locks at each end; nothing is allocated. For each task that it
// stops, Set() pays what a request to cancel costs: up to about 15 us if the task is running.
//
// Rejected: a child that waits for the event and asks the task to end. It would cost a thread for each task, and dumps
// would show that thread.
#ifndef WEFT_STOP_EVENT_H_
#define WEFT_STOP_EVENT_H_

#include "weft/internal/compiler.h"

#include <source_location>
#include <utility>

#include "weft/cancellation.h"
#include "weft/internal/boundary.h"
#include "weft/internal/boundary_awaiter.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/record.h"
#include "weft/sync/event.h"
#include "weft/task.h"

namespace weft {

namespace internal {
class StopEventBoundary;
template <class T>
using StopEventAwaiter = BoundaryAwaiter<StopEventBoundary, OrStatus, T>;
}  // namespace internal

// Awaits `task`. If `event` is set meanwhile, or was set before, the task is unwound at its next checkpoint, and the
// result is kCancelled, with the ReasonOf() kEventSet. A Reset() does not undo that. The first Set() asks the tasks to
// end, one after the other: until it has returned, a task that finds the event set may pass checkpoints, and another
// Set() may return before. Types are those of WithTimeout(). Entering is not a checkpoint.
template <internal::TaskOrClosure A>
[[nodiscard("co_await it")]] internal::StopEventAwaiter<internal::ValueOf<A>> WithStopEvent(
    Event& event, A&& task, std::source_location where = std::source_location::current());

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class StopEventBoundary : public Boundary, private EventListener {
 public:
  static constexpr const char* kCall = "WithStopEvent()";
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

}  // namespace internal

template <internal::TaskOrClosure A>
internal::StopEventAwaiter<internal::ValueOf<A>> WithStopEvent(Event& event, A&& task, std::source_location where) {
  return internal::StopEventAwaiter<internal::ValueOf<A>>(internal::AsTask(std::forward<A>(task)), event, where);
}

}  // namespace weft

#endif  // WEFT_STOP_EVENT_H_
