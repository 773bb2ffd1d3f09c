#include "weft/channel/delay_queue.h"

#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>

#include "absl/time/time.h"
#include "lib/sync/turn.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "weft/cancellation.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

bool IsBefore(const DelayedNode& a, const DelayedNode& b) noexcept {
  return a.due_ns != b.due_ns ? a.due_ns < b.due_ns : a.number < b.number;
}

// Of two heaps. As deep as the two paths to the right are long: the logarithm of their sizes.
DelayedNode* Merge(DelayedNode* a, DelayedNode* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (IsBefore(*b, *a)) std::swap(a, b);
  a->right = Merge(a->right, b);
  if (a->left == nullptr || a->left->rank < a->right->rank) std::swap(a->left, a->right);
  a->rank = a->right == nullptr ? 1 : a->right->rank + 1;
  return a;
}

// What `changed` is waited for with, as a Task: MoveOnAfter() makes one anyhow, and this one has the caller's line.
Task<void> AwaitChange(Event& changed, std::source_location where) { co_await AwaitAt{changed.Wait(), where}; }

constexpr int64_t kNothingIsDue = INT64_MAX;

}  // namespace

DelayQueueCore::~DelayQueueCore() = default;

void DelayQueueCore::CheckNobodyWaits() const noexcept {
  const uint64_t first = first_.load(std::memory_order_relaxed);
  WEFT_CHECK(first == 0) << "a DelayQueue is destroyed by " << DescribeCaller() << " while " << ThreadLabel(first)
                         << " waits in it";
}

bool DelayQueueCore::Send(DelayedNode& node, absl::Duration delay, void (*fill)(DelayedNode& node, void* value),
                          void* value) {
  const int64_t due_ns = DeadlineAfter(CallersNow(), delay);
  {
    LockGuard guard(lock_);
    if (closed_) return false;
    fill(node, value);
    node.due_ns = due_ns;
    node.number = sent_++;
    root_ = Merge(root_, &node);
    ++size_;
    if (root_ != &node) return true;
  }
  changed_.Set();
  return true;
}

DelayedNode* DelayQueueCore::PopLocked() noexcept {
  DelayedNode* const first = root_;
  root_ = Merge(first->left, first->right);
  --size_;
  return first;
}

DelayedNode* DelayQueueCore::TakeOut() noexcept {
  LockGuard guard(lock_);
  return root_ == nullptr ? nullptr : PopLocked();
}

// The first value, if its time has come. Otherwise null, and either it is over, since the queue is closed and empty, or
// `next_due_ns` is when to look again.
DelayedNode* DelayQueueCore::TakeDue(int64_t& next_due_ns, bool& over) noexcept {
  const int64_t now_ns = CallersNow();
  LockGuard guard(lock_);
  if (root_ != nullptr && root_->due_ns <= now_ns) return PopLocked();
  over = root_ == nullptr && closed_;
  next_due_ns = root_ == nullptr ? kNothingIsDue : root_->due_ns;
  return nullptr;
}

// One receiver at a time looks and waits; the others wait for the turn, in their order. A sender that puts a new first
// value in after the look sets changed_ after the reset, which comes before the look. So the wait ends at once.
Task<DelayedNode*> DelayQueueCore::Receive(std::source_location where) {
  const MutexGuard turn = co_await AwaitAt{turn_.Lock(), where};
  const TurnName name(first_);
  for (;;) {
    int64_t next_due_ns = kNothingIsDue;
    bool over = false;
    changed_.Reset();
    DelayedNode* const due = TakeDue(next_due_ns, over);
    if (due != nullptr || over) co_return due;
    if (next_due_ns == kNothingIsDue) {
      co_await AwaitAt{changed_.Wait(), where};
    } else {
      co_await MoveOnAfter(absl::Nanoseconds(next_due_ns - RuntimeNow()), AwaitChange(changed_, where));
    }
  }
}

DelayedNode* DelayQueueCore::TryReceive() noexcept {
  const std::optional<MutexGuard> turn = turn_.TryLock();
  if (!turn.has_value()) return nullptr;
  const int64_t now_ns = CallersNow();
  LockGuard guard(lock_);
  return root_ != nullptr && root_->due_ns <= now_ns ? PopLocked() : nullptr;
}

bool DelayQueueCore::Close() noexcept {
  {
    LockGuard guard(lock_);
    if (std::exchange(closed_, true)) return false;
  }
  changed_.Set();
  return true;
}

bool DelayQueueCore::IsClosed() noexcept {
  LockGuard guard(lock_);
  return closed_;
}

int64_t DelayQueueCore::size() noexcept {
  LockGuard guard(lock_);
  return size_;
}

}  // namespace weft::internal
