// State of the word, and who moves it:
//
//   | state      | meaning                          | next                                                       |
//   |------------|----------------------------------|------------------------------------------------------------|
//   | kFree      | nobody holds it                  | kHeld by lock, try_lock; kContended by LockSlow            |
//   | kHeld      | held, nobody sleeps              | kFree by unlock; kContended by LockSlow                    |
//   | kContended | held, somebody may be asleep     | kFree by unlock, which then wakes one                      |
//
// Rejected: std::mutex, 40 bytes, and glibc's may touch the mutex after the release; absl::Mutex, 8 bytes, about which
// ThreadSanitizer reports false races when it was built without it; a spin lock, which loses its whole time slice when
// the holder is preempted; a look after each pause (a value from four senders to four receivers on two carriers: 92 ns,
// against 31; one to one: 31, against 25). (U. Drepper, "Futexes Are Tricky", mutex2.)
#include "weft/internal/lock.h"

#include "lib/base/fence.h"
#include "lib/os/futex.h"

namespace weft::internal {
namespace {

// A waiter spins for about a microsecond before it sleeps, a little less than the way into the kernel and back. More
// wastes the core that the holder may need; less pays the kernel for critical sections of a few nanoseconds. The pauses
// before each look double. Each look takes the word's line from the holder, who may lock it a dozen times meanwhile.
constexpr int kFirstPauses = kModelChecked ? 1 : 4;
constexpr int kEndOfPauses = kModelChecked ? 2 : 64;

}  // namespace

void Lock::LockSlow() noexcept {
  for (int pauses = kFirstPauses; pauses < kEndOfPauses; pauses *= 2) {
    for (int i = 0; i < pauses; ++i) CpuRelax();
    // relaxed: only a hint; try_lock() decides.
    if (word_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
  }
  // From here on the word says kContended while this thread holds the lock, perhaps without a sleeper: one wake-up too
  // many, never one too few. Whoever overwrites a kContended with kFree wakes a sleeper, which writes kContended again.
  // [lock/3] acquire: pairs with [lock/2], as [lock/1] does.
  while (word_.exchange(kContended, WEFT_ORDER("lock/3", std::memory_order_acquire)) != kFree) {
    FutexWait(word_, kContended);
  }
}

void Lock::WakeOne(Atomic<uint32_t>& word) noexcept { FutexWake(word, 1); }

}  // namespace weft::internal
