// How is a virtual thread asked to end?
//
// The requester marks the target under the thread's records lock, and brings the request to whatever no shield hides:
// it takes a parked thread out of its wait, and shuts the scopes inside the target. HACKING.md, "Cancellation, step by
// step", follows it from there.
#ifndef WEFT_LIB_CANCEL_CANCEL_REQUEST_H_
#define WEFT_LIB_CANCEL_CANCEL_REQUEST_H_

#include "weft/internal/boundary.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/check.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// Any thread; the caller keeps `thread` alive. Asks that `thread` be unwound to `target`, which it has open: shuts the
// scopes inside, and interrupts a wait. Idempotent.
void RequestCancel(ThreadBlock& thread, Boundary& target, const CancelCause& cause) noexcept;
// The same to its root, as `asker`: asks it to end. The cause is what the asker has for it.
void RequestEnd(ThreadBlock& thread, Asker asker, const CancelCause& cause) noexcept;

// Asks several threads to end, with one fence for all of them. The caller keeps them alive.
class CancelBatch {
 public:
  static constexpr int kMax = 64;
  CancelBatch(Asker asker, const CancelCause& cause) noexcept : asker_(asker), cause_(cause) {}
  CancelBatch(const CancelBatch&) = delete;
  CancelBatch& operator=(const CancelBatch&) = delete;

  void Add(ThreadBlock& thread) noexcept {  // at most kMax
    WEFT_DCHECK(count_ < kMax) << "more than " << kMax << " virtual threads in one batch";
    threads_[count_++] = &thread;
  }
  void Request() noexcept;  // once

 private:
  const Asker asker_;
  const CancelCause cause_;
  int count_ = 0;
  ThreadBlock* threads_[kMax];
};

// Under the records lock, when a shield hides nothing any more: brings the requests to the records from `innermost`
// outwards to what is inside. Returns true if the thread was parked: the caller releases the lock, and then makes it
// runnable by WakeDelivered().
[[nodiscard]] bool DeliverAll(ThreadBlock& thread, Record* innermost) noexcept;
void WakeDelivered(ThreadBlock& thread) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_CANCEL_REQUEST_H_
