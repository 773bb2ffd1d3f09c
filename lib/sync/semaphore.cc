#include "weft/sync/semaphore.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <source_location>

#include "lib/sync/lock_state.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

using Steps = internal::LockSteps<internal::ThreadBlock>;

std::optional<Permit> Semaphore::TryAcquire(int64_t permits) noexcept {
  if (lock_.Take(permits)) return Permit(lock_, permits);
  WEFT_CHECK(permits >= 0) << "Semaphore::TryAcquire(" << permits << "); it needs 0 or more";
  return std::nullopt;
}

Permit Semaphore::AcquireBlocking(int64_t permits) noexcept {
  lock_.Block(permits, std::source_location());
  return Permit(lock_, permits);
}

Permit Semaphore::Drain() noexcept { return Permit(lock_, Steps::TakeAll(lock_, internal::CurrentThread())); }

int64_t Semaphore::available() noexcept {
  std::lock_guard guard(lock_.waiters.lock);
  return lock_.available;
}

}  // namespace weft
