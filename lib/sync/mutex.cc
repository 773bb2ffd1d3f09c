#include "weft/sync/mutex.h"

#include <cstdint>
#include <mutex>
#include <optional>

#include "weft/internal/check.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/waiters.h"

namespace weft {

const internal::WaitKind Mutex::kWait = {internal::ParkReason::kMutex, /*timed=*/false, &internal::Waiters::Withdraw};

Mutex::~Mutex() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(!held_) << "a Mutex is destroyed by " << internal::DescribeCaller() << " while it is locked by "
                     << internal::ThreadLabel(holder_);
}

std::optional<MutexGuard> Mutex::TryLock() noexcept {
  if (!Take(internal::CurrentThreadId())) return std::nullopt;
  return MutexGuard(this);
}

bool Mutex::Take(uint64_t thread) noexcept {
  std::lock_guard guard(waiters_.lock);
  return TakeLocked(thread);
}

bool Mutex::TakeLocked(uint64_t thread) noexcept {
  if (held_) return false;
  held_ = true;
  holder_ = thread;
  return true;
}

bool Mutex::Suspend(internal::PromiseBase& frame) noexcept {
  return internal::WaitIn(waiters_, frame, kWait, [this] { return TakeLocked(internal::CurrentThreadId()); });
}

// Stays held if somebody waits: it is handed over.
void Mutex::Unlock() noexcept {
  internal::ThreadBlock* next;
  {
    std::lock_guard guard(waiters_.lock);
    next = waiters_.Grant();
    if (next == nullptr) {
      held_ = false;
    } else {
      holder_ = next->id;
    }
  }
  if (next != nullptr) internal::Wake(*next);
}

void MutexGuard::Unlock() noexcept {
  if (mutex_ != nullptr) std::exchange(mutex_, nullptr)->Unlock();
}

}  // namespace weft
