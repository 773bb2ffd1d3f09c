#include "weft/internal/completion_queue.h"

#include "lib/base/list.h"
#include "lib/sync/waiters.h"

#include <mutex>

namespace weft::internal {

const WaitKind CompletionQueue::kWait = {ParkReason::kNextCompleted, /*timed=*/false, &Waiters::Withdraw};

CompletionQueue::~CompletionQueue() {
  while (ThreadBlock* child = completed_.PopFront()) child->Release();
}

void CompletionQueue::Forked() noexcept {
  std::lock_guard guard(owner_.lock);
  ++to_come_;
}

// Called at the end of each child that is no daemon. Wakes the owner if it waits for this.
void CompletionQueue::Ended(ChildBase& child, bool completed) noexcept {
  ThreadBlock* woken = nullptr;
  {
    std::lock_guard guard(owner_.lock);
    --to_come_;
    if (completed) {
      child.AddRef();
      completed_.PushBack(&child);
    }
    if (HasAnswer()) woken = owner_.GrantThread();
  }
  if (woken != nullptr) Wake(*woken);
}

bool CompletionQueue::AwaitReady() noexcept {
  if (!AtCheckpoint()) return false;
  std::lock_guard guard(owner_.lock);
  return HasAnswer();
}

void CompletionQueue::Suspend(AwaitingFrame frame) noexcept {
  WaitIn(owner_, frame, kWait, [this] { return HasAnswer(); });
}

ChildBase* CompletionQueue::Take() noexcept {
  std::lock_guard guard(owner_.lock);
  auto* child = static_cast<ChildBase*>(completed_.PopFront());
  if (child != nullptr) child->ShowToOwner();
  return child;
}

}  // namespace weft::internal
