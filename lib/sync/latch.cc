#include "weft/sync/latch.h"

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/os/futex.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

using internal::ParkReason;
using SelectNode = internal::WaitCase<internal::ThreadBlock>;

const internal::WaitKind Latch::kWait = {
    ParkReason::kLatch, /*timed=*/false, &Latch::Withdraw, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      return absl::StrCat(", which is at ", static_cast<Latch*>(thread.waiting_on)->count_);
    }};

const internal::WaitKind Latch::kArrive = {
    ParkReason::kLatch, /*timed=*/false, &Latch::WithdrawArrival, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      return absl::StrCat(", which is at ", static_cast<ArriveAwaiter*>(thread.waiting_on)->latch_.count_);
    }};

constinit const internal::SelectableWait<internal::ThreadBlock> Latch::kSelect = {
    .lock = [](void* latch) noexcept { return &static_cast<Latch*>(latch)->waiters_.lock; },
    .take = [](void* latch) noexcept {
      return internal::SelectTaken{.taken = static_cast<Latch*>(latch)->count_ == 0};
    },
    .finish = nullptr,
    .add = [](void* latch, SelectNode& node) noexcept { static_cast<Latch*>(latch)->waiters_.Add(node); },
    .after_add = nullptr,
    .take_back = [](void* latch, SelectNode& node) noexcept { static_cast<Latch*>(latch)->waiters_.TakeBack(node); },
};

Latch::Latch(int64_t count) noexcept : reached_(count == 0 ? 1 : 0), count_(count) {
  WEFT_CHECK(count >= 0) << "a Latch with a count of " << count << "; it needs 0 or more";
}

Latch::~Latch() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Latch is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
  WEFT_CHECK(count_ == 0 || !os_threads_wait_)
      << "a Latch is destroyed by " << internal::DescribeCaller() << " while an OS thread waits for it";
}

int64_t Latch::count() noexcept {
  std::lock_guard guard(waiters_.lock);
  return count_;
}

// Under the lock. True: the count is zero now, and was not before; `woken` have been granted.
bool Latch::ReachLocked(int64_t n, internal::WaitNodes& woken) noexcept {
  if (count_ == 0) return false;
  count_ = count_ > n ? count_ - n : 0;
  if (count_ > 0) return false;
  // [latch/2] release: pairs with [latch/1] and [latch/3].
  reached_.store(1, std::memory_order_release);
  waiters_.GrantAll(woken);
  return true;
}

// Without the lock. The latch may be gone when the first of them has been woken; for the OS threads only an address is
// used.
void Latch::WakeAll(internal::WaitNodes& woken, bool os_threads) noexcept {
  if (os_threads) internal::FutexWake(reached_, INT32_MAX);
  internal::Waiters::WakeAll(woken);
}

void Latch::CountDown(int64_t n) noexcept {
  WEFT_CHECK(n >= 0) << "CountDown(" << n << ") of a Latch; it only counts down";
  internal::WaitNodes woken;
  bool os_threads;
  {
    std::lock_guard guard(waiters_.lock);
    if (!ReachLocked(n, woken)) return;
    os_threads = os_threads_wait_;
  }
  WakeAll(woken, os_threads);
}

Latch::ArriveAwaiter::ArriveAwaiter(Latch& latch, int64_t n) noexcept : latch_(latch), n_(n) {
  WEFT_CHECK(n >= 0) << "ArriveAndWait(" << n << ") of a Latch; it only counts down";
}

// True: the arrival has counted, and there is nothing to wait for. False: nothing has changed.
bool Latch::ArriveIfLast(int64_t n) noexcept {
  internal::WaitNodes woken;
  bool os_threads;
  {
    std::lock_guard guard(waiters_.lock);
    if (count_ > n) return false;
    if (!ReachLocked(n, woken)) return true;
    os_threads = os_threads_wait_;
  }
  WakeAll(woken, os_threads);
  return true;
}

bool Latch::Suspend(internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, this, frame, kWait, [this] { return count_ == 0; });
}

bool Latch::ArriveAndSuspend(ArriveAwaiter& arrival, internal::AwaitingFrame frame) noexcept {
  internal::WaitNodes woken;
  bool os_threads = false;
  const bool suspended = internal::WaitIn(waiters_, &arrival, frame, kArrive, [&] {
    os_threads = ReachLocked(arrival.n_, woken) && os_threads_wait_;
    return count_ == 0;
  });
  WakeAll(woken, os_threads);
  return suspended;
}

bool Latch::Withdraw(internal::ThreadBlock& thread) noexcept {
  auto& latch = *static_cast<Latch*>(thread.waiting_on);
  std::lock_guard guard(latch.waiters_.lock);
  return latch.waiters_.WithdrawLocked(thread);
}

// What it has counted is taken back.
bool Latch::WithdrawArrival(internal::ThreadBlock& thread) noexcept {
  auto& arrival = *static_cast<ArriveAwaiter*>(thread.waiting_on);
  Latch& latch = arrival.latch_;
  std::lock_guard guard(latch.waiters_.lock);
  if (!latch.waiters_.WithdrawLocked(thread)) return false;
  latch.count_ += arrival.n_;
  return true;
}

void Latch::WaitBlocking() noexcept {
  WEFT_CHECK(internal::CurrentCarrier() == nullptr)
      << "Latch::WaitBlocking() by " << internal::DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits Wait()";
  {
    std::lock_guard guard(waiters_.lock);
    if (count_ == 0) return;
    os_threads_wait_ = true;
  }
  // [latch/3] acquire: pairs with [latch/2].
  while (reached_.load(std::memory_order_acquire) == 0) internal::AwaitWord(reached_, 0);
}

}  // namespace weft
