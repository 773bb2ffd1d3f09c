#include "weft/sync/event.h"

#include <mutex>
#include <optional>

#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"

namespace weft {

using internal::ParkReason;
using SelectNode = internal::WaitCase<internal::ThreadBlock>;

const internal::WaitKind Event::kWait = {ParkReason::kEvent, /*timed=*/false, &internal::Waiters::Withdraw};

constinit const internal::SelectableWait<internal::ThreadBlock> Event::kSelect = {
    .lock = [](void* event) noexcept { return &static_cast<Event*>(event)->waiters_.lock; },
    .take_alone = [](void* event) noexcept { return static_cast<Event*>(event)->IsSet(); },
    .take = [](void* event) noexcept {
      return internal::SelectTaken{.taken = static_cast<Event*>(event)->set_.load(std::memory_order_relaxed)};
    },
    .finish = nullptr,
    .add = [](void* event, SelectNode& node) noexcept { static_cast<Event*>(event)->waiters_.Add(node); },
    .after_add = nullptr,
    .take_back = [](void* event, SelectNode& node) noexcept { static_cast<Event*>(event)->waiters_.TakeBack(node); },
};

Event::~Event() {
  {
    std::lock_guard guard(listeners_lock_);
    WEFT_CHECK(listeners_.empty()) << "an Event is destroyed by " << internal::DescribeCaller() << " while "
                                   << internal::DescribeThread(*listeners_.front()->thread)
                                   << " runs a task that it is to stop";
  }
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "an Event is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
}

void Event::Set() noexcept {
  internal::WaitNodes woken;
  bool listened;
  {
    std::lock_guard guard(waiters_.lock);
    // [event/2] release: pairs with [event/1].
    set_.store(true, std::memory_order_release);
    waiters_.GrantAll(woken);
    listened = listened_;
  }
  // First: a thread that is woken may destroy the event.
  if (listened) [[unlikely]]
    TellListeners();
  internal::Waiters::WakeAll(woken);
}

// One listener at a time, so that a listener that leaves waits for one request at most. No listener is missed: either
// it is in the list when Set() takes it from there, or its Listen() sees that the event is set, since Listen() adds it
// to the list before it looks under waiters_.lock.
void Event::TellListeners() noexcept {
  for (bool more = true; more;) {
    std::optional<internal::OutsideCall> call;
    internal::RuntimeCore* runtime;
    {
      std::lock_guard guard(listeners_lock_);
      internal::EventListener* const listener = listeners_.PopFront();
      if (listener == nullptr) return;
      more = !listeners_.empty();
      // The listener's thread cannot leave before this lock is released. After that it may be gone, and so may the
      // event, if this was the last listener.
      runtime = &listener->thread->runtime();
      call.emplace(*runtime);
      listener->on_set(*listener);
    }
    internal::RunShutdowns(*runtime);
  }
}

bool Event::Listen(internal::EventListener& listener) noexcept {
  {
    std::lock_guard guard(listeners_lock_);
    listeners_.PushBack(&listener);
  }
  std::lock_guard guard(waiters_.lock);
  listened_ = true;
  return !set_.load(std::memory_order_relaxed);
}

void Event::StopListening(internal::EventListener& listener) noexcept {
  std::lock_guard guard(listeners_lock_);
  if (listener.linked()) listeners_.Remove(&listener);
}

void Event::Reset() noexcept {
  std::lock_guard guard(waiters_.lock);
  // relaxed: it takes something back, so there is nothing to order.
  set_.store(false, std::memory_order_relaxed);
}

bool Event::Suspend(internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, frame, kWait, [this] { return set_.load(std::memory_order_relaxed); });
}

}  // namespace weft
