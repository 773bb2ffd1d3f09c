#include "lib/runtime/roots.h"

#include <cstdint>
#include <mutex>

#include "lib/base/list.h"
#include "lib/os/futex.h"
#include "lib/cancel/cancel_request.h"
#include "lib/thread/thread_state.h"

namespace weft::internal {

void Roots::Gone() noexcept {
  // [roots/1] release: pairs with [roots/2], [roots/3] and [roots/4]. Afterwards the runtime may be gone: the wake-up
  // uses the address only.
  if (live_.fetch_sub(1, std::memory_order_release) == 1) FutexWake(live_, INT32_MAX);
}

void Roots::UnscopedGone() noexcept {
  // [roots/5] release: pairs with [roots/6] and [roots/7]. Afterwards the runtime may be gone, like above.
  if (unscoped_.fetch_sub(1, std::memory_order_release) == kAwaited + 1) FutexWake(unscoped_, INT32_MAX);
}

void Roots::AddLocked(ThreadBlock& root) noexcept {
  list_.PushBack(&root);
  if (ending_.has_value()) internal::RequestEnd(root, Asker::kAlone, *ending_);
}

void Roots::Add(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  AddLocked(root);
}

void Roots::Register(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  if (!root.state.Observe().unregistered()) return;
  root.state.Registered();
  AddLocked(root);
}

void Roots::AddUnstarted(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  if (!ending_.has_value()) return list_.PushBack(&root);
  root.identity()->EndUnstarted(*ending_);
}

void Roots::Remove(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  if (static_cast<ListNode<SiblingTag>&>(root).linked()) SiblingList::Remove(&root);
}

// First the roots for which somebody waits, then those that live on alone, which end no sooner than they are asked to.
// One of these may be held by an OS thread (RuntimeHold), which is among the first: hence the last look.
void Roots::AwaitNone(Host& host) noexcept {
  do {
    // [roots/4] acquire: pairs with [roots/1].
    for (uint32_t left; (left = live_.load(std::memory_order_acquire)) != 0;) host.AwaitChange(live_, left);
    // [roots/6] acquire: pairs with [roots/5].
    for (uint32_t left; (left = unscoped_.fetch_or(kAwaited, std::memory_order_acquire) & ~kAwaited) != 0;) {
      host.AwaitChange(unscoped_, left | kAwaited);
    }
  } while (unsettled());
}

bool Roots::AwaitNoneUntil(int64_t deadline_ns) noexcept {
  do {
    for (;;) {
      const uint32_t left = live_.load(std::memory_order_acquire);  // [roots/2] acquire: pairs with [roots/1]
      if (left == 0) break;
      if (FutexWait(live_, left, deadline_ns) == FutexOutcome::kTimedOut) return false;
    }
    for (;;) {
      // [roots/7] acquire: pairs with [roots/5].
      const uint32_t left = unscoped_.fetch_or(kAwaited, std::memory_order_acquire) & ~kAwaited;
      if (left == 0) break;
      if (FutexWait(unscoped_, left | kAwaited, deadline_ns) == FutexOutcome::kTimedOut) return false;
    }
  } while (unsettled());
  return true;
}

void Roots::RequestEnd(const CancelCause& cause) noexcept {
  std::lock_guard guard(lock_);
  ending_ = cause;
  closed_.store(true, std::memory_order_relaxed);
  ThreadBlock* next;
  for (ThreadBlock* root = list_.front(); root != nullptr; root = next) {
    next = list_.Next(root);
    if (!EndUnstarted(*root, cause)) internal::RequestEnd(*root, Asker::kAlone, cause);
  }
}

// Under the lock. False: it was started.
bool Roots::EndUnstarted(ThreadBlock& root, const CancelCause& cause) noexcept {
  ThreadIdentity* const identity = root.identity();
  if (identity == nullptr || !identity->unstarted()) return false;
  // Out of the list first: afterwards its last handle may destroy it.
  SiblingList::Remove(&root);
  if (identity->EndUnstarted(cause)) return true;
  list_.PushBack(&root);  // it is being started just now
  return false;
}

void Roots::Reopen() noexcept {
  std::lock_guard guard(lock_);
  ending_.reset();
  closed_.store(false, std::memory_order_relaxed);
}

void Roots::ForEach(void (*visit)(ThreadBlock& root, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* root = list_.front(); root != nullptr; root = list_.Next(root)) visit(*root, argument);
}

}  // namespace weft::internal
