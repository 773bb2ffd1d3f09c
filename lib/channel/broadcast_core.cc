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

constinit const WaitKind BroadcastCore::kWait = {
    ParkReason::kBroadcast, /*timed=*/false, [](ThreadBlock& thread) noexcept {
      auto& position = *static_cast<BroadcastPosition*>(thread.waiting_on);
      std::lock_guard guard(position.core->waiters_.lock);
      if (!position.core->waiters_.WithdrawLocked(thread)) return false;
      position.core->End(position, 1);
      return true;
    }};
constinit const SelectableWait<ThreadBlock> BroadcastCore::kSelect = {
    .lock = [](void* position) noexcept { return &static_cast<BroadcastPosition*>(position)->core->waiters_.lock; },
    .take =
        [](void* of) noexcept {
          const auto& position = *static_cast<BroadcastPosition*>(of);
          return SelectTaken{.taken = position.core->HasFor(position)};
        },
    .finish = nullptr,
    .add =
        [](void* of, SelectNode& node) noexcept {
          auto& position = *static_cast<BroadcastPosition*>(of);
          position.core->waiters_.Add(node);
          position.core->Begin(position);
        },
    .after_add = nullptr,
    .take_back =
        [](void* of, SelectNode& node) noexcept {
          auto& position = *static_cast<BroadcastPosition*>(of);
          std::lock_guard guard(position.core->waiters_.lock);
          if (node.linked()) WaitNodes::Remove(&node);
          position.core->End(position, 1);
        },
};

BroadcastCore::~BroadcastCore() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Broadcast or Watch is destroyed by " << DescribeCaller() << " while "
                                     << DescribeThread(waiters_.First()) << " waits for its next value";
  WEFT_CHECK(waits_ == 0) << "a Broadcast or Watch is destroyed by " << DescribeCaller() << " before " << waits_
                          << " threads that it has woken have looked at it";
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
  return WaitIn(position.core->waiters_, &position, frame, kWait, [&position] {
    if (position.core->HasFor(position)) return true;
    position.core->Begin(position);
    return false;
  });
}

}  // namespace weft::internal
