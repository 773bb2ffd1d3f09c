// A wait for several things: a word that says which was granted, and a node for each. lib/thread/wait_node.h says how
// they work together. They lie in the frame that awaits, so users' code sees how large they are.
#ifndef WEFT_CHANNEL_WAIT_CASE_H_
#define WEFT_CHANNEL_WAIT_CASE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

// `Thread` is a WaitNode, and has a `void* waiting_on`.
template <class Thread>
class WaitForSeveral {
 public:
  static constexpr int32_t kOpen = -1;
  static constexpr int32_t kWithdrawn = -2;

  explicit WaitForSeveral(Thread& waiting) noexcept : thread(waiting) {}
  WaitForSeveral(const WaitForSeveral&) = delete;
  WaitForSeveral& operator=(const WaitForSeveral&) = delete;

  // Any thread, while the wait cannot be over: under the lock of a queue that has a case of it, or by the thread
  // itself. True: nobody else ends it.
  bool Claim(int32_t by) noexcept {
    int32_t expected = kOpen;
    return claimed_by_.compare_exchange_strong(expected, by, std::memory_order_relaxed, std::memory_order_relaxed);
  }
  // The number of the case that was granted; kOpen, kWithdrawn.
  int32_t claimed_by() const noexcept { return claimed_by_.load(std::memory_order_relaxed); }

  // WaitKind::withdraw of a wait whose `waiting_on` is the WaitForSeveral.
  static bool Withdraw(Thread& thread) noexcept {
    return static_cast<WaitForSeveral*>(thread.waiting_on)->Claim(kWithdrawn);
  }

  Thread& thread;

 private:
  Atomic<int32_t> claimed_by_{kOpen};  // relaxed: see "Memory ordering" in lib/thread/wait_node.h
};

template <class Thread>
struct WaitCase : WaitNode {
  WaitCase(WaitForSeveral<Thread>& of, int32_t which, void* handed_over = nullptr) noexcept
      : WaitNode(State::kCase), number(which), wait(of), slot(handed_over) {}
  WaitCase(const WaitCase&) = delete;
  WaitCase& operator=(const WaitCase&) = delete;

  const int32_t number;  // 0 or more
  WaitForSeveral<Thread>& wait;
  void* const slot;  // for what is handed over; null: nothing is
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_WAIT_CASE_H_
