#include "weft/sync/event.h"

#include <cstdint>
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
    WEFT_CHECK(entered_ == 0) << "an Event is destroyed by " << internal::DescribeCaller() << " while "
                              << (listeners_.empty() ? "a thread"
                                                     : internal::DescribeThread(*listeners_.front()->thread))
                              << " runs a task that it is to stop, or has stopped";
  }
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "an Event is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
}

void Event::Set() noexcept {
  internal::WaitNodes woken;
  internal::EventListeners told;
  bool listened;
  {
    std::unique_lock listeners(listeners_lock_, std::defer_lock);
    std::unique_lock waiters(waiters_.lock);
    if (listened_) [[unlikely]] {
      waiters.unlock();
      listeners.lock();
      waiters.lock();
      told.Splice(listeners_);
      listened_ = false;
    }
    listened = !told.empty();
    // [event/2] release: pairs with [event/1].
    set_.store(true, std::memory_order_release);
    waiters_.GrantAll(woken);
  }
  // First: a thread that is woken may destroy the event.
  if (listened) [[unlikely]]
    Tell(told);
  internal::Waiters::WakeAll(woken);
}

// One listener at a time, so that a listener that leaves waits for one request at most. Those that listened when the
// event was set, and no others: whoever listens later has found it set, or it was reset.
void Event::Tell(internal::EventListeners& told) noexcept {
  for (bool more = true; more;) {
    std::optional<internal::OutsideCall> call;
    uint64_t asked;
    internal::RuntimeCore* runtime;
    {
      std::lock_guard guard(listeners_lock_);
      internal::EventListener* const listener = told.PopFront();
      if (listener == nullptr) return;
      more = !told.empty();
      // The listener's thread cannot leave before this lock is released. After that it may be gone, and so may the
      // event, if this was the last listener.
      asked = listener->thread->id;
      runtime = &listener->thread->runtime();
      call.emplace(*runtime);
      listener->on_set(*listener);
    }
    internal::RunShutdowns(*runtime, asked);
  }
}

bool Event::Listen(internal::EventListener& listener) noexcept {
  std::lock_guard listeners(listeners_lock_);
  ++entered_;
  std::lock_guard waiters(waiters_.lock);
  if (set_.load(std::memory_order_relaxed)) return false;
  listeners_.PushBack(&listener);
  listened_ = true;
  return true;
}

void Event::StopListening(internal::EventListener& listener) noexcept {
  std::lock_guard listeners(listeners_lock_);
  --entered_;
  if (!listener.linked()) return;
  internal::EventListeners::Remove(&listener);
  if (!listeners_.empty()) return;
  std::lock_guard waiters(waiters_.lock);
  listened_ = false;
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
