#include "weft/channel/broadcast_core.h"

#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/selectable_wait.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft::internal {

using SelectNode = WaitCase<ThreadBlock>;

constinit const WaitKind BroadcastCore::kWait = {ParkReason::kBroadcast, /*timed=*/false, &Waiters::Withdraw};
constinit const SelectableWait<ThreadBlock> BroadcastCore::kSelect = {
    .lock = [](void* position) noexcept { return &static_cast<BroadcastPosition*>(position)->core->waiters_.lock; },
    .take =
        [](void* of) noexcept {
          const auto& position = *static_cast<BroadcastPosition*>(of);
          return SelectTaken{.taken = position.core->HasFor(position)};
        },
    .finish = nullptr,
    .add = [](void* position,
              SelectNode& node) noexcept { static_cast<BroadcastPosition*>(position)->core->waiters_.Add(node); },
    .after_add = nullptr,
    .take_back =
        [](void* position, SelectNode& node) noexcept {
          static_cast<BroadcastPosition*>(position)->core->waiters_.TakeBack(node);
        },
};

BroadcastCore::~BroadcastCore() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Broadcast or Watch is destroyed by " << DescribeCaller() << " while "
                                     << DescribeThread(waiters_.First()) << " waits for its next value";
}

void BroadcastCore::Sent(WaitNodes& woken) noexcept {
  ++sent_;
  waiters_.GrantAll(woken);
}

void BroadcastCore::WakeAll(WaitNodes& woken) noexcept { Waiters::WakeAll(woken); }

bool BroadcastCore::Close(absl::Status why) noexcept {
  WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    if (std::exchange(closed_, true)) return false;
    status_ = std::move(why);
    waiters_.GrantAll(woken);
  }
  WakeAll(woken);
  return true;
}

absl::Status BroadcastCore::status() noexcept {
  std::lock_guard guard(waiters_.lock);
  return status_;
}

bool BroadcastCore::IsClosed() noexcept {
  std::lock_guard guard(waiters_.lock);
  return closed_;
}

uint64_t BroadcastCore::sent() noexcept {
  std::lock_guard guard(waiters_.lock);
  return sent_;
}

bool BroadcastCore::Ready(const BroadcastPosition& position) noexcept {
  if (!AtCheckpoint()) return false;
  std::lock_guard guard(position.core->waiters_.lock);
  return position.core->HasFor(position);
}

bool BroadcastCore::Suspend(BroadcastPosition& position, AwaitingFrame frame) noexcept {
  return WaitIn(position.core->waiters_, frame, kWait, [&position] { return position.core->HasFor(position); });
}

}  // namespace weft::internal
