// The subtasks of a scope that have completed and that its owner has not taken yet, in the order of their ends.
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
  ~CompletionQueue();  // those that nobody has taken

  // Who forks: one more subtask is to come.
  void Forked() noexcept;
  // The carrier on which it has ended: it comes, with a reference of its own, or, if it was cancelled, it does not.
  void Ended(ChildBase& child, bool completed) noexcept;

  // The owner's wait: over when there is a subtask to take, or none is to come. A checkpoint.
  bool AwaitReady() noexcept;
  void Suspend(AwaitingFrame frame) noexcept;
  // After the wait: the first, with its reference; null if none is to come.
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
