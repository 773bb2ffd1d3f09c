// Layer driver. What is the same in both drivers?
//
// How an operation begins and ends: what holds for each operation that a driver begins (Begin), the count of those in
// flight, and the order in which those that have ended are completed (Deliver). Also the two ways in which other
// threads reach a driver: its CancelInbox and its Doorbell.
#ifndef WEFT_LIB_DRIVER_DRIVER_BASE_H_
#define WEFT_LIB_DRIVER_DRIVER_BASE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lib/driver/cancel_inbox.h"
#include "lib/driver/doorbell.h"
#include "lib/driver/driver.h"
#include "lib/driver/operation_queue.h"
#include "lib/driver/request_facts.h"
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
  // The first step of Start(): `op` belongs to this driver from here on, and moves no more bytes than one call may.
  // Returns true if it has ended: a transfer of no bytes ends at once, with 0, whatever the state of its socket. (The
  // kernel's receive would wait for data.)
  bool Begin(Operation& op) noexcept {
    op.driver = this;
    op.slot = nullptr;
    op.cancelled = false;
    if (!FactsOf(op.request.code).transfers) return false;
    op.request.transfer.length = std::min(op.request.transfer.length, kMaxTransferBytes);
    op.result = 0;
    return op.request.transfer.length == 0;
  }

  // Before others get to know of an operation that is left pending.
  void CountPending() noexcept {
    // relaxed: a count.
    in_flight_.fetch_add(1, std::memory_order_relaxed);
  }

  // The last step of Poll() and Relieve(), without locks: completes the operations that have ended, in the order in
  // which they ended, and returns how many. Other drivers of the backend may have begun them. Calls `leave` for each of
  // them first.
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

  // With everything else that other threads write, on a cache line apart from the owner's own members.
  alignas(kCacheLineSize) CancelInbox inbox_;
  Doorbell doorbell_;

 private:
  // What one call moves at most, as for read(2) and write(2).
  static constexpr size_t kMaxTransferBytes = 0x7ffff000;

  Atomic<int64_t> in_flight_{0};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_DRIVER_BASE_H_
