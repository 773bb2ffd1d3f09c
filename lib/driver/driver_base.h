// Layer driver. What is the same in both drivers?
//
// How an operation begins and ends: what a driver may take for granted of one that it begins (Begin), the count of
// those in flight, and the order in which those that have ended are completed (Deliver). Beside that, the two ways in
// which other threads reach a driver: its CancelInbox and its Doorbell.
#ifndef WEFT_LIB_DRIVER_DRIVER_BASE_H_
#define WEFT_LIB_DRIVER_DRIVER_BASE_H_

#include <cstdint>

#include "lib/driver/cancel_inbox.h"
#include "lib/driver/doorbell.h"
#include "lib/driver/driver.h"
#include "lib/driver/operation_queue.h"
#include "weft/internal/atomic.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class DriverBase : public Driver {
 public:
  int64_t in_flight() const noexcept final {
    // relaxed: a count, which publishes nothing.
    return in_flight_.load(std::memory_order_relaxed);
  }

 protected:
  // First in Start(): `op` is this driver's from here on, and moves no more bytes than one call may. True: it has
  // ended. A transfer of no bytes does so at once, with 0, whatever the state of its socket. (The kernel's receive
  // would wait for data.)
  bool Begin(Operation& op) noexcept;

  // Before others get to know of an operation that is left pending.
  void CountPending() noexcept {
    // relaxed: a count.
    in_flight_.fetch_add(1, std::memory_order_relaxed);
  }

  // Last in Poll() and Relieve(), without locks: completes what has ended, in the order in which it ended, and says how
  // many. They may have been begun by other drivers of the backend. `leave` is called for each before that.
  template <class Leave>
  static int Deliver(OperationQueue& ended, const Leave& leave) noexcept {
    int delivered = 0;
    while (Operation* const op = ended.Pop()) {
      leave(*op);
      // relaxed: a count. Before complete(), after which neither the operation nor its driver may be there.
      static_cast<DriverBase*>(op->driver)->in_flight_.fetch_sub(1, std::memory_order_relaxed);
      op->complete(*op);
      ++delivered;
    }
    return delivered;
  }

  // With everything that other threads write, on a cache line that the owner's own members are not on.
  alignas(kCacheLineSize) CancelInbox inbox_;
  Doorbell doorbell_;

 private:
  Atomic<int64_t> in_flight_{0};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_DRIVER_BASE_H_
