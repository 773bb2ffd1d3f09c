#include "weft/sync/shared_mutex.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/sync/lock_state.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

std::optional<WriterGuard> SharedMutex::TryLock() noexcept {
  if (!lock_.Take(lock_.permits)) return std::nullopt;
  return WriterGuard(lock_, lock_.permits);
}

std::optional<ReaderGuard> SharedMutex::TryLockShared() noexcept {
  if (!lock_.Take(1)) return std::nullopt;
  return ReaderGuard(lock_, 1);
}

int64_t SharedMutex::ReaderCount() noexcept {
  std::lock_guard guard(lock_.waiters.lock);
  return lock_.available == 0 ? 0 : lock_.permits - lock_.available;
}

ReaderGuard WriterGuard::Downgrade() && noexcept {
  WEFT_CHECK(lock_ != nullptr) << "WriterGuard::Downgrade() of a guard that holds nothing";
  internal::LockCore& lock = *std::exchange(lock_, nullptr);
  internal::LockSteps<internal::ThreadBlock>::Downgrade(lock, internal::CurrentThread());
  return ReaderGuard(lock, 1);
}

}  // namespace weft
