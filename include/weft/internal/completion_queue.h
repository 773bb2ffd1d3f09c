// The subtasks of a scope that have completed and that its owner has not taken yet, in the order in which they ended.
#ifndef WEFT_INTERNAL_COMPLETION_QUEUE_H_
#define WEFT_INTERNAL_COMPLETION_QUEUE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>

#include "weft/internal/child.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

class CompletionQueue {
 public:
  CompletionQueue() = default;
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;
  ~CompletionQueue();  // releases the subtasks that were not taken

  // Called by the thread that forks: one more subtask will come.
  void Forked() noexcept;
  // Called by the carrier on which the subtask has ended. The queue takes a reference; if the subtask was cancelled, it
  // will not come.
  void Ended(ChildBase& child, bool completed) noexcept;

  // The owner's wait: over when there is a subtask to take, or none will come. A checkpoint.
  bool AwaitReady() noexcept;
  void Suspend(AwaitingFrame frame) noexcept;
  // After the wait: the first subtask, with its reference; null if none will come.
  ChildBase* Take() noexcept;

 private:
  static const WaitKind kWait;
  bool HasAnswer() const noexcept { return !completed_.empty() || to_come_ == 0; }

  Waiters owner_;
  // ---- Guarded by owner_.lock.
  SiblingList completed_;
  int64_t to_come_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_COMPLETION_QUEUE_H_
