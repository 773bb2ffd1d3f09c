// Layer driver. A first-in-first-out queue of operations, linked through `Operation::next`.
//
// It owns nothing. An operation is in one queue at most. Not thread-safe: the driver's lock guards it, or one thread
// has it on its stack.
#ifndef WEFT_LIB_DRIVER_OPERATION_QUEUE_H_
#define WEFT_LIB_DRIVER_OPERATION_QUEUE_H_

#include "weft/internal/check.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class OperationQueue {
 public:
  OperationQueue() noexcept = default;
  OperationQueue(const OperationQueue&) = delete;
  OperationQueue& operator=(const OperationQueue&) = delete;
  ~OperationQueue() { WEFT_DCHECK(empty()) << "a queue of operations is destroyed with operations in it"; }

  bool empty() const noexcept { return first_ == nullptr; }
  Operation* front() const noexcept { return first_; }

  void Push(Operation& op) noexcept {
    op.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &op;
    last_ = &op;
  }

  // Null if empty.
  Operation* Pop() noexcept {
    Operation* const op = first_;
    if (op == nullptr) return nullptr;
    first_ = op->next;
    op->next = nullptr;
    return op;
  }

  // False if `op` is not here. Linear: for the rare queue that is not empty.
  bool Remove(Operation& op) noexcept {
    Operation* before = nullptr;
    for (Operation* at = first_; at != nullptr; before = at, at = at->next) {
      if (at != &op) continue;
      (before == nullptr ? first_ : before->next) = op.next;
      if (last_ == &op) last_ = before;
      op.next = nullptr;
      return true;
    }
    return false;
  }

 private:
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;  // meaningless when empty
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_OPERATION_QUEUE_H_
