// Layer runtime. Where do runnable threads wait that are pinned to a carrier? (weft/pin.h)
//
// They run there only, so thieves must not take them. One that is woken is put here by its waker, whoever that is; one
// that comes from here and yields is put back. One that has just been pinned may yield from another turn: then it lies
// in the deque of its carrier, like any other thread, and a thief that takes it there gives it back here.
//
// A look at this queue at each dispatch would cost every yield. So the carrier takes from it when it polls, or has
// nothing else: first those that were given back, which were the oldest in the deque; then, as if they stood in the
// deque, the others: as many as have come by then, once all that was in the deque the last time has been taken.
//
// Who may call: any thread puts in; the carrier takes out.
#ifndef WEFT_LIB_RUNTIME_PINNED_QUEUE_H_
#define WEFT_LIB_RUNTIME_PINNED_QUEUE_H_

#include <cstddef>
#include <cstdint>

#include "lib/lockfree/inject_queue.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

class PinnedQueue {
 public:
  void Push(ThreadBlock& thread) noexcept { woken_.Push(thread); }
  void GiveBack(ThreadBlock& thread) noexcept { given_back_.Push(thread); }

  // Hints.
  bool MayHave() const noexcept { return given_back_.MayHave() || woken_.MayHave(); }
  bool IsNext() const noexcept { return given_back_.MayHave() || (turns_ > 0 && woken_.MayHave()); }

  // One whose turn it is, or null. Of the deque: how many were ever taken out of it, and how many stand in it.
  ThreadBlock* Take(int64_t others_taken, size_t others) noexcept {
    if (ThreadBlock* const thread = given_back_.Take()) return thread;
    if (turns_ == 0) {
      // The last one in a deque is not counted as taken when it is (TakeOldest). It runs between two rounds all the
      // same: the carrier sees to that. (RunPinned)
      if (others > 1 && others_taken < round_ends_) return nullptr;
      turns_ = woken_.SizeEstimate();
      round_ends_ = others_taken + static_cast<int64_t>(others);
    }
    ThreadBlock* const thread = woken_.Take();
    // A destructor that waits may have taken some, and one that came since the estimate has no turn to give up.
    turns_ = thread == nullptr || turns_ == 0 ? 0 : turns_ - 1;
    return thread;
  }
  template <class Predicate>
  ThreadBlock* TakeIf(const Predicate& predicate) noexcept {
    ThreadBlock* const thread = given_back_.TakeIf(predicate);
    return thread != nullptr ? thread : woken_.TakeIf(predicate);
  }

 private:
  InjectQueue<ThreadBlock, QueueTag> given_back_;
  InjectQueue<ThreadBlock, QueueTag> woken_;
  // The carrier's own.
  size_t turns_ = 0;        // of those in `woken_` in this round
  int64_t round_ends_ = 0;  // when so many others have been taken
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_PINNED_QUEUE_H_
