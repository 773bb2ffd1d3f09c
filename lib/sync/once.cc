#include "weft/sync/once.h"

#include <cstdint>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

const internal::WaitKind Once::kWait = {
    internal::ParkReason::kOnce, /*timed=*/false, &Once::Withdraw, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      const Once& once = static_cast<Awaiter*>(thread.waiting_on)->once_;
      return absl::StrCat(", which ", internal::ThreadLabel(once.runner_.id), " runs");
    }};

Once::~Once() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(runner_.address == nullptr) << "a Once is destroyed by " << internal::DescribeCaller() << " while "
                                         << internal::ThreadLabel(runner_.id) << " runs it";
}

bool Once::Take(Awaiter& awaiter) noexcept {
  std::lock_guard guard(waiters_.lock);
  return TakeLocked(awaiter);
}

// Under the lock. False: it is to wait.
bool Once::TakeLocked(Awaiter& awaiter) noexcept {
  if (done_.load(std::memory_order_relaxed)) return true;  // relaxed: under the lock
  const internal::ThreadKey self = internal::CurrentThread()->key();
  if (runner_.address != nullptr) {
    WEFT_CHECK(runner_ != self) << "Run() of a Once at " << awaiter.where_.file_name() << ":" << awaiter.where_.line()
                                << " by " << internal::DescribeCaller()
                                << ", whose function it is called in: it would wait for itself";
    return false;
  }
  runner_ = self;
  return awaiter.mine_ = true;
}

bool Once::Suspend(Awaiter& awaiter, internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, &awaiter, frame, kWait, [&] { return TakeLocked(awaiter); });
}

bool Once::Withdraw(internal::ThreadBlock& thread) noexcept {
  Once& once = static_cast<Awaiter*>(thread.waiting_on)->once_;
  std::lock_guard guard(once.waiters_.lock);
  return once.waiters_.WithdrawLocked(thread);
}

void Once::Finish() noexcept {
  internal::WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    runner_ = {};
    // [once/2] release: pairs with [once/1].
    done_.store(true, std::memory_order_release);
    waiters_.GrantAll(woken);
  }
  internal::Waiters::WakeAll(woken);
}

// It was not done: the first who waits has the turn.
void Once::PassOn() noexcept {
  internal::ThreadBlock* next;
  {
    std::lock_guard guard(waiters_.lock);
    next = waiters_.GrantThread();
    runner_ = next == nullptr ? internal::ThreadKey() : next->key();
    if (next != nullptr) static_cast<Awaiter*>(next->waiting_on)->mine_ = true;
  }
  if (next != nullptr) internal::Wake(*next);
}

}  // namespace weft
