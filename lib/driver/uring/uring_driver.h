// Layer driver. How does a carrier start operations on its io_uring, wait for them, and cancel them?
//
// One ring per carrier. The owner starts and polls; anybody may ask for a cancellation or ring the doorbell; a helper
// may take a turn at the ring while the owner computes. A lock makes the turns exclusive. The owner pays 11 ns for it,
// against about 1 us for an operation. In exchange, a carrier that computes delays no completions. Without the helper,
// an operation that was started just before a long computation would not even reach the kernel before the end of that
// computation.
//
// A send ends at once, by a plain call, unless the buffers are full. (EndsAtOnce) So does an accept, or a call of its
// own, that does not block; if it does, a poll stands in the ring in its place, and after that the call is made again,
// on the operation's behalf, with the lock held.
//
// An operation's life, and who moves it. `lock` means that the mover holds the ring's lock.
//
//   state              meaning                                          next, and by whom
//   kIdle              not started, or ended                            kInFlight: Start (lock)
//   kInFlight          in the kernel, in the submission queue, or in    kCancelAsked: RequestCancel, any thread
//                      `waiting_` for a free entry of it                kIdle: a completion (lock) -> complete()
//   kCancelAsked       RequestCancel won; the operation is or will be   kCancelPlaced: PlaceCancels (lock)
//                      in the inbox, or in `cancels_`                   kEndedAsked: a completion (lock)
//   kEndedAsked        ended; the result is there, but complete() has   kIdle: PlaceCancels (lock) -> complete()
//                      to wait until nothing links the operation
//   kCancelPlaced      an ASYNC_CANCEL is in the submission queue       kIdle: a completion (lock) -> complete()
//
// Why an operation ends once: only a completion (or, for an operation that never left `waiting_`, its removal) makes it
// end, and the kernel gives one terminal completion for each submission. The canceller's own completion proves nothing,
// so it is not even asked for. Success wins: a result that is not -ECANCELED is delivered as it is.
//
// Why complete() may free the operation: nothing points to it any more. It is in no queue (`waiting_` was left at
// submission, the inbox and `cancels_` before complete(), by kEndedAsked), and the kernel has said its last word on it.
//
// Why a late ASYNC_CANCEL never hits another operation: it names its target by address, and the address may be in use
// again when the kernel reads it. But the new user of the address was submitted to this ring after complete(), hence
// after the cancel entry was written, hence behind it in the same first-in-first-out queue; and the kernel executes a
// cancel entry on the spot. On another ring the address means nothing to this cancel. Measured: of 20,000 raced
// operations 12,988 cancels arrived after the end.
//
// A wait is ended by an eventfd (doorbell.h) under a multishot poll, which the kernel may end (a full completion queue
// does); a completion without IORING_CQE_F_MORE says so, and the poll is armed again before the next wait.
//
// Whose is what in io_uring. The driver itself submits and waits, because liburing knows neither the flags that are
// needed nor which thread may use the registered descriptor. So the driver writes to what is shared with the kernel
// (the tail of the submission queue, its table of entries, the head of the completion queue), as the kernel documents
// it. It writes to no field of liburing's structures, which belong to io_uring_get_sqe() and the like. This works with
// every liburing from 2.3 on: tests with --config=next.
//
// Setup flags. By default the kernel interrupts the owner for each completion, wherever it is. With COOP_TASKRUN it
// does the work of the completion when the owner next enters the kernel, which one that serves sockets does all the
// time; with TASKRUN_FLAG the ring says that there is such work, so that a Poll() that does not wait enters the kernel
// only then. Measured, server and client on a processor each, echo of 64 bytes over TCP, CPU of the server a request,
// as multiples of epoll in C: at 100 connections 1.59 by default and 1.11 so, at 1,000 1.56 and 1.18. While the owner
// computes, completions wait for the next tick of its processor's clock, 4 ms here; or for a helper, which has
// membarrier(2) interrupt the owner. DEFER_TASKRUN shows none until the owner asks, and SINGLE_ISSUER would shut out
// the helper.
//
// Rejected: IORING_OP_TIMEOUT for the park's timeout (ClickHouse's silk removed it: threads stuck); MSG_RING as
// doorbell (no faster, and the sender needs a ring); receiving speculatively before submitting (8 % slower in the
// echo); POLL_FIRST for a receive behind a short one (2 to 15 % slower, where the next request has often come by then);
// SQPOLL (a core per ring); a canceller that waits until its cancel is submitted (condy), which blocks a carrier.
#ifndef WEFT_LIB_DRIVER_URING_URING_DRIVER_H_
#define WEFT_LIB_DRIVER_URING_URING_DRIVER_H_

#include <liburing.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/driver/driver_base.h"
#include "lib/driver/event_fd.h"
#include "lib/driver/operation_queue.h"
#include "lib/driver/poll_deadline.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class UringDriver final : public DriverBase {
 public:
  // A ring that this process has just closed may still count as locked memory: wait for the kernel, or take its no?
  enum class Shortage : uint8_t { kWaitFor, kRefuse };

  // `submission_entries` and `completion_entries` as in UringBackend::Options. The ring has entered the kernel once.
  // Any OS thread; the owner calls BelongToThisThread() before anything else.
  static absl::StatusOr<std::unique_ptr<UringDriver>> Create(unsigned submission_entries, unsigned completion_entries,
                                                             Shortage shortage);
  void BelongToThisThread() noexcept;
  // Before that, to ask what the ring can do.
  io_uring& ring() noexcept { return ring_; }
  unsigned features() const noexcept { return features_; }
  ~UringDriver() override;

  bool Start(Operation& op) noexcept override;
  void RequestCancel(Operation& op) noexcept override;
  int Poll(int64_t timeout_ns) noexcept override;
  int Relieve() noexcept override;
  void Ring() noexcept override;

 private:
  enum State : uint8_t { kIdle, kInFlight, kCancelAsked, kEndedAsked, kCancelPlaced };
  enum class Park : uint8_t { kNo, kYes };
  enum class Caller : uint8_t { kOwner, kHelper };
  enum class Entered : uint8_t { kDone, kTimedOut, kInterrupted, kShort };

  UringDriver() noexcept = default;
  int TryEnter() noexcept;  // an errno

  static int Complete(OperationQueue& ended) noexcept;  // without the lock

  // All with the lock held.
  void Submit(Operation& op) noexcept;  // into the submission queue, or into waiting_
  bool Place(Operation& op) noexcept;   // false: no entry is free
  void PlaceWaiting() noexcept;
  void PlaceCancels(OperationQueue& ended) noexcept;
  bool PlaceWakePoll() noexcept;  // false: no entry is free
  void Reap(OperationQueue& ended) noexcept;
  void Ended(Operation& op, int32_t result, OperationQueue& ended) noexcept;
  bool Retried(Operation& op, int32_t& result) noexcept;
  unsigned Publish() noexcept;  // shows the submission queue to the kernel; returns what is left to submit
  int EnterOnce(unsigned to_submit, bool reap, Park park, int64_t timeout_ns, Caller caller) noexcept;  // or -errno
  Entered Enter(Park park, int64_t timeout_ns, Caller caller) noexcept;
  void WaitAndReap(int64_t timeout_ns, OperationQueue& ended) noexcept;
  io_uring_sqe* FreeEntry() noexcept;  // null: none

  // Whoever holds the lock.
  Lock lock_;
  bool initialised_ = false;
  bool wake_poll_armed_ = false;
  unsigned features_ = 0;   // IORING_FEAT_
  unsigned no_iowait_ = 0;  // the flag, where the kernel knows it
  io_uring ring_;
  OperationQueue waiting_;        // started, but the submission queue is full
  Operation* cancels_ = nullptr;  // taken from the inbox, through Operation::link; no ASYNC_CANCEL placed yet
  EventFd wake_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_URING_URING_DRIVER_H_
