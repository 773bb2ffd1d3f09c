#include "lib/os/membarrier.h"

#include <linux/membarrier.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "lib/base/fence.h"
#include "lib/os/global_lock.h"
#include "lib/os/syscalls.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {

namespace {

constinit GlobalLock registration;
constinit bool decided = false;  // under it

}  // namespace

// The first answer decides for good, because duels may be under way when the second comes. The call is made each time,
// because a child of fork(2) is another process.
void EnableAsymmetricFences() noexcept {
  const std::lock_guard guard(registration);
  const int saved_errno = errno;
  const bool registered = Sys().membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0;
  errno = saved_errno;
  // relaxed: set before there is anybody to duel with.
  if (!std::exchange(decided, true) && registered) g_asymmetric_fences.store(true, std::memory_order_relaxed);
}

void InterruptRunningThreads() noexcept {
  if (!FencesAreAsymmetric()) return;
  const int saved_errno = errno;
  [[maybe_unused]] const int ignored = Sys().membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
  errno = saved_errno;
}

void HeavyFence(std::memory_order) noexcept {
  // Its own side of the duel, against other heavy ones too.
  StoreLoadFence();
  if (!FencesAreAsymmetric()) return;
  const int saved_errno = errno;
  int result = Sys().membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
  // Once the process is registered, the only error is a lack of memory for a set of processors. The slow command, which
  // takes milliseconds, needs none.
  if (result != 0) result = Sys().membarrier(MEMBARRIER_CMD_GLOBAL, 0);
  WEFT_CHECK(result == 0) << "membarrier failed with errno " << errno;
  errno = saved_errno;
}

}  // namespace weft::internal
