#include "lib/os/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/sanitizers.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

// The kernel wants the address of four bytes.
static_assert(sizeof(Atomic<uint32_t>) == sizeof(uint32_t));

}  // namespace

FutexOutcome FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  const int saved_errno = errno;
  // Also for kNoDeadlineNs, in some 290 years.
  const int64_t at = deadline_ns < 0 ? 0 : deadline_ns;
  const timespec deadline = {.tv_sec = at / kNanosPerSecond, .tv_nsec = at % kNanosPerSecond};
  // WAIT_BITSET, because plain FUTEX_WAIT takes a relative timeout, which drifts when the wait is repeated.
  const BlockingSyscall blocking;
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, &deadline, nullptr,
                                FUTEX_BITSET_MATCH_ANY);
  const int error = result == 0 ? 0 : errno;
  errno = saved_errno;
  WEFT_CHECK(error == 0 || error == EAGAIN || error == EINTR || error == ETIMEDOUT)
      << "futex wait on " << static_cast<const void*>(&word) << " failed with errno " << error;
  return error == ETIMEDOUT ? FutexOutcome::kTimedOut : FutexOutcome::kWoken;
}

void FutexWake(Atomic<uint32_t>& word, int count) noexcept {
  const int saved_errno = errno;
  // EFAULT says that the word's page is gone, and so is its waiter: see the preface of lock.h. No other error exists.
  ::syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
  errno = saved_errno;
}

}  // namespace weft::internal
