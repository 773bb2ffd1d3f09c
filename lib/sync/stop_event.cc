#include "weft/stop_event.h"

#include <utility>

#include "lib/cancel/cancel_request.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

void StopEventBoundary::Enter(PromiseBase& awaiting) noexcept {
  thread = &RequireThread("WithStopEvent()");
  frame = &awaiting;
  PushRecord(*thread, *this);
  if (event_.Listen(*this)) return;
  OnSet(*this);
  RunShutdowns(thread->runtime());
}

void StopEventBoundary::Leave() noexcept {
  if (thread == nullptr) return;
  event_.StopListening(*this);  // waits for an OnSet() that is running
  PopRecord(*std::exchange(thread, nullptr), *this);
}

// On the thread itself, or under the lock of the event's listeners, so that the thread stays.
void StopEventBoundary::OnSet(EventListener& listener) noexcept {
  auto& boundary = static_cast<StopEventBoundary&>(listener);
  ThreadBlock& thread = *boundary.thread;
  RequestCancel(thread, boundary, {CancelReason::Kind::kEventSet, 0, NowOf(thread.runtime()), boundary.where_});
}

}  // namespace weft::internal
