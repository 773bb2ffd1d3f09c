#include "weft/sync/mutex.h"

#include <optional>

namespace weft {

std::optional<MutexGuard> Mutex::TryLock() noexcept {
  if (!lock_.Take(1)) return std::nullopt;
  return MutexGuard(lock_, 1);
}

}  // namespace weft
