#include "weft/sync/semaphore.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/cancel/drain.h"
#include "lib/cancel/press.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/selectable_wait.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

using SelectNode = internal::WaitCase<internal::ThreadBlock>;

const internal::WaitKind Semaphore::kWait = {
    internal::ParkReason::kSemaphore, /*timed=*/false, &Semaphore::Withdraw, /*cancel_wins=*/false,
    /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      auto& semaphore = *static_cast<Semaphore*>(thread.waiting_on);
      if (semaphore.permits_ == 0) return std::string(", which has no permits");
      return absl::StrCat(semaphore.permits_ == 1
                              ? std::string(", held by ")
                              : absl::StrCat(", all ", semaphore.permits_, " permits held, the last one by "),
                          internal::ThreadLabel(semaphore.last_taker_));
    }};

constinit const internal::SelectableWait<internal::ThreadBlock> Semaphore::kSelect = {
    .lock = [](void* semaphore) noexcept { return &static_cast<Semaphore*>(semaphore)->waiters_.lock; },
    .take = [](void* semaphore) noexcept {
      return internal::SelectTaken{.taken =
                                       static_cast<Semaphore*>(semaphore)->TakeLocked(internal::CurrentThreadId())};
    },
    .finish = nullptr,
    .add = [](void* semaphore, SelectNode& node) noexcept { static_cast<Semaphore*>(semaphore)->waiters_.Add(node); },
    .after_add = nullptr,
    .take_back = [](void* semaphore,
                    SelectNode& node) noexcept { static_cast<Semaphore*>(semaphore)->waiters_.TakeBack(node); },
};

Semaphore::Semaphore(int64_t permits) : permits_(permits), available_(permits), last_taker_(0) {
  WEFT_CHECK(permits >= 0) << "a Semaphore of " << permits << " permits; it needs 0 or more";
}

Semaphore::~Semaphore() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Semaphore is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
  WEFT_CHECK(available_ == permits_) << "a Semaphore is destroyed by " << internal::DescribeCaller() << " while "
                                     << permits_ - available_ << " of its " << permits_
                                     << " permits are held; the last one was acquired by "
                                     << internal::ThreadLabel(last_taker_);
}

std::optional<Permit> Semaphore::TryAcquire() noexcept {
  if (!Take(internal::CurrentThreadId())) return std::nullopt;
  return Permit(this);
}

int64_t Semaphore::available() noexcept {
  std::lock_guard guard(waiters_.lock);
  return available_;
}

bool Semaphore::Take(uint64_t thread) noexcept {
  std::lock_guard guard(waiters_.lock);
  return TakeLocked(thread);
}

bool Semaphore::TakeLocked(uint64_t thread) noexcept {
  if (available_ == 0) return false;
  --available_;
  last_taker_ = thread;
  return true;
}

bool Semaphore::Withdraw(internal::ThreadBlock& thread) noexcept {
  auto& semaphore = *static_cast<Semaphore*>(thread.waiting_on);
  std::lock_guard guard(semaphore.waiters_.lock);
  return semaphore.waiters_.WithdrawLocked(thread);
}

bool Semaphore::Suspend(internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, this, frame, kWait, [this] { return TakeLocked(internal::CurrentThreadId()); });
}

// Hands the permit to the first waiter, so that nobody overtakes it.
void Semaphore::Release() noexcept {
  internal::ThreadBlock* next;
  {
    std::lock_guard guard(waiters_.lock);
    next = waiters_.GrantThread();
    if (next == nullptr) {
      ++available_;
    } else {
      last_taker_ = next->id;
    }
  }
  if (next != nullptr) internal::Wake(*next);
}

// A semaphore does not know the holder of each permit. So the thread that gets one counts it itself. (drain.h)
Permit::Permit(Semaphore* semaphore) noexcept : semaphore_(semaphore), receipt_(internal::CountPermit()) {}

void Permit::Release() noexcept {
  if (semaphore_ == nullptr) return;
  internal::UncountPermit(receipt_);
  std::exchange(semaphore_, nullptr)->Release();
}

}  // namespace weft
