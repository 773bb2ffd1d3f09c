#include "weft/sync/recursive_mutex.h"

#include <cstdint>
#include <mutex>
#include <optional>

#include "lib/sync/lock_state.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

std::optional<RecursiveMutexGuard> RecursiveMutex::TryLock() noexcept {
  if (!lock_.Take(1)) return std::nullopt;
  return RecursiveMutexGuard(lock_, 1);
}

int64_t RecursiveMutex::HoldCount() noexcept {
  using Steps = internal::LockSteps<internal::ThreadBlock>;
  std::lock_guard guard(lock_.waiters.lock);
  return Steps::IsHeldBy(lock_, internal::CurrentThread()) ? lock_.again + 1 : 0;
}

}  // namespace weft
