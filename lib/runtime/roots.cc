#include "lib/runtime/roots.h"

#include <cstdint>
#include <mutex>

#include "lib/os/futex.h"
#include "lib/cancel/cancel_request.h"

namespace weft::internal {

void Roots::Gone() noexcept {
  // [roots/1] release: pairs with [roots/2] and [roots/3]. Afterwards the runtime may be gone: the wake-up uses the
  // address only.
  if (live_.fetch_sub(1, std::memory_order_release) == 1) FutexWake(live_, INT32_MAX);
}

void Roots::Add(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  list_.PushBack(&root);
}

void Roots::Remove(ThreadBlock& root) noexcept {
  std::lock_guard guard(lock_);
  SiblingList::Remove(&root);
}

bool Roots::AwaitNone(int64_t deadline_ns) noexcept {
  for (;;) {
    const uint32_t left = live_.load(std::memory_order_acquire);  // [roots/2] acquire: pairs with [roots/1]
    if (left == 0) return true;
    if (FutexWait(live_, left, deadline_ns) == FutexOutcome::kTimedOut) return false;
  }
}

void Roots::RequestEnd(const CancelCause& cause) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* root = list_.front(); root != nullptr; root = list_.Next(root)) {
    internal::RequestEnd(*root, Asker::kAlone, cause);
  }
}

void Roots::ForEach(void (*visit)(ThreadBlock& root, void* argument), void* argument) noexcept {
  std::lock_guard guard(lock_);
  for (ThreadBlock* root = list_.front(); root != nullptr; root = list_.Next(root)) visit(*root, argument);
}

}  // namespace weft::internal
