// Layer driver. How does a carrier start operations with plain system calls, and wait where they would block?
//
// Start() makes the call at once. If that says EAGAIN, the operation becomes a waiter of its descriptor (see
// descriptor_table.h), and the driver that fetches the next edge makes the call again, on the waiter's behalf, under
// the lock of the direction. Waiting together, and how drivers share the events, is in epoll_backend.h.
//
//   state      meaning                                       next, and by whom (all under the lock of the direction)
//   kIdle      not started, or ended                         kWaiting: Start
//   kWaiting   in the queue of its direction                 kIdle: whoever makes its call succeed -> complete()
//                                                            kCancelled: RequestCancel, any thread
//   kCancelled out of that queue, -ECANCELED, in the inbox   complete(), by the owner's Poll or a Relieve
//
// CancelPending() is RequestCancel() for all waiters of a descriptor.
//
// An operation ends once because it leaves the queue of its direction once, under the lock. No result is lost: a call
// that succeeds takes the operation out, so a later cancellation does not find it.
//
// A receive behind a short one makes no call until there is an edge. (emptied.h)
#ifndef WEFT_LIB_DRIVER_EPOLL_EPOLL_DRIVER_H_
#define WEFT_LIB_DRIVER_EPOLL_EPOLL_DRIVER_H_

#include <cstdint>

#include "lib/driver/driver_base.h"
#include "lib/driver/epoll/descriptor_table.h"
#include "lib/driver/epoll/epoll_backend.h"
#include "lib/driver/operation_queue.h"
#include "lib/driver/request_facts.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class EpollDriver final : public DriverBase {
 public:
  explicit EpollDriver(EpollBackend& backend) noexcept : backend_(backend) {}
  ~EpollDriver() override;

  bool Start(Operation& op) noexcept override;
  void RequestCancel(Operation& op) noexcept override;
  int Poll(int64_t timeout_ns) noexcept override;
  int Relieve() noexcept override;
  void Ring() noexcept override;

  // An edge came: makes the calls of the waiters until one would block.
  static void Wake(Descriptor& descriptor, Flow flow, OperationQueue& ended) noexcept;

  // With the lock of the direction held: makes a waiter of it end with -ECANCELED, in the Poll() of the driver that it
  // was started on. That takes the lock once before it completes what was cancelled, so the driver is there until then.
  static void Cancel(Direction& direction, Operation& op) noexcept;

 private:
  friend class EpollBackend;  // the links of the parked, and their doorbells

  enum State : uint8_t { kIdle, kWaiting, kCancelled };

  void Wait(int64_t timeout_ns, OperationQueue& ended) noexcept;
  void TakeInbox(OperationQueue& ended) noexcept;

  EpollBackend& backend_;
  EpollDriver* next_parked_ = nullptr;      // the backend's idle_lock_
  EpollDriver* previous_parked_ = nullptr;  // the backend's idle_lock_
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_EPOLL_DRIVER_H_
