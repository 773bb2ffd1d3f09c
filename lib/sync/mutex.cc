#include "weft/sync/mutex.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
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

const internal::WaitKind Mutex::kWait = {
    internal::ParkReason::kMutex, /*timed=*/false, &Mutex::Withdraw, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      auto& mutex = *static_cast<Mutex*>(thread.waiting_on);
      return absl::StrCat(", held by ", internal::ThreadLabel(mutex.holder_.holder().id));
    }};

constinit const internal::SelectableWait<internal::ThreadBlock> Mutex::kSelect = {
    .lock = [](void* mutex) noexcept { return &static_cast<Mutex*>(mutex)->waiters_.lock; },
    .take = [](void* mutex) noexcept {
      return internal::SelectTaken{.taken = static_cast<Mutex*>(mutex)->TakeLocked()};
    },
    .finish = nullptr,
    .add =
        [](void* mutex, SelectNode& node) noexcept {
          static_cast<Mutex*>(mutex)->WantLocked();
          static_cast<Mutex*>(mutex)->waiters_.Add(node);
        },
    .after_add = [](void* mutex, SelectNode&) noexcept { static_cast<Mutex*>(mutex)->PressHolder(); },
    .take_back =
        [](void* of, SelectNode& node) noexcept {
          Mutex& mutex = *static_cast<Mutex*>(of);
          mutex.waiters_.TakeBack(node);
          std::lock_guard guard(mutex.waiters_.lock);
          mutex.EndWantedIfNobodyWaits();
        },
};

Mutex::~Mutex() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(!held_) << "a Mutex is destroyed by " << internal::DescribeCaller() << " while it is locked by "
                     << internal::ThreadLabel(holder_.holder().id);
}

std::optional<MutexGuard> Mutex::TryLock() noexcept {
  if (!Take()) return std::nullopt;
  return MutexGuard(this);
}

bool Mutex::Take() noexcept {
  std::lock_guard guard(waiters_.lock);
  return TakeLocked();
}

bool Mutex::TakeLocked() noexcept {
  if (std::exchange(held_, true)) return false;
  if (internal::ThreadBlock* thread = internal::CurrentThread()) {
    internal::SetHolder(holder_, *thread);
  }
  return true;
}

// If the holder drains, it is made to give the lock back now: it could not go on before its children have ended, and
// the caller may be one of them.
bool Mutex::Suspend(internal::AwaitingFrame frame) noexcept {
  internal::ThreadKey holder;
  uint32_t scopes_opened = 0;
  const bool suspended = internal::WaitIn(waiters_, this, frame, kWait, [&] {
    if (TakeLocked()) return true;
    WantLocked();
    holder = holder_.holder();
    scopes_opened = holder_.scopes_opened();
    return false;
  });
  if (holder.address != nullptr) internal::PressHolder(holder, scopes_opened);
  return suspended;
}

// Under the lock: a thread is about to wait.
void Mutex::WantLocked() noexcept {
  if (!std::exchange(wanted_, true)) internal::TheWantedLocks().Add(holder_);
}

// Of a select that waits for it, as Suspend() does. The mutex may have another holder by now; then that is pressed.
void Mutex::PressHolder() noexcept {
  internal::ThreadKey holder;
  uint32_t scopes_opened = 0;
  {
    std::lock_guard guard(waiters_.lock);
    holder = holder_.holder();
    scopes_opened = holder_.scopes_opened();
  }
  if (holder.address != nullptr) internal::PressHolder(holder, scopes_opened);
}

// Under the lock.
void Mutex::EndWantedIfNobodyWaits() noexcept {
  if (!wanted_ || !waiters_.nodes.empty()) return;
  wanted_ = false;
  internal::TheWantedLocks().Remove(holder_);
}

bool Mutex::Withdraw(internal::ThreadBlock& thread) noexcept {
  auto& mutex = *static_cast<Mutex*>(thread.waiting_on);
  std::lock_guard guard(mutex.waiters_.lock);
  if (!mutex.waiters_.WithdrawLocked(thread)) return false;
  mutex.EndWantedIfNobodyWaits();
  return true;
}

// If a thread waits, the lock stays held, and is handed over.
void Mutex::Unlock() noexcept {
  internal::ThreadBlock* next;
  {
    std::lock_guard guard(waiters_.lock);
    next = waiters_.GrantThread();
    if (next != nullptr) {
      internal::SetHolder(holder_, *next);
    } else {
      held_ = false;
      holder_.SetHolder({}, 0);
    }
    EndWantedIfNobodyWaits();
  }
  if (next != nullptr) internal::Wake(*next);
}

void MutexGuard::Unlock() noexcept {
  if (mutex_ != nullptr) std::exchange(mutex_, nullptr)->Unlock();
}

}  // namespace weft
