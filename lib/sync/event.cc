#include "weft/sync/event.h"

#include <mutex>

#include "weft/internal/check.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/waiters.h"

namespace weft {

using internal::ParkReason;
using internal::ThreadBlock;
using internal::ThreadQueue;

const internal::WaitKind Event::kWait = {ParkReason::kEvent, /*timed=*/false, &internal::Waiters::Withdraw};

Event::~Event() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.queue.empty()) << "an Event is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(*waiters_.queue.front()) << " waits for it";
}

void Event::Set() noexcept {
  ThreadQueue woken;
  {
    std::lock_guard guard(waiters_.lock);
    // [event/2] release: pairs with [event/1].
    set_.store(true, std::memory_order_release);
    waiters_.GrantAll(woken);
  }
  while (ThreadBlock* thread = woken.PopFront()) internal::Wake(*thread);
}

void Event::Reset() noexcept {
  std::lock_guard guard(waiters_.lock);
  set_.store(false, std::memory_order_relaxed);  // takes something back: nothing to order
}

bool Event::Suspend(internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, frame, kWait, [this] { return set_.load(std::memory_order_relaxed); });
}

}  // namespace weft
