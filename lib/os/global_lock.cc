#include "lib/os/global_lock.h"

#include <pthread.h>
#include <sched.h>

#include <mutex>

#include "weft/internal/check.h"

namespace weft::internal {
namespace {

constinit Lock all_lock;
constinit ForkLock* all = nullptr;  // under all_lock

// All or none.
bool TryLockAll() noexcept {
  ForkLock* at = all;
  while (at != nullptr && at->lock->try_lock()) at = at->next;
  if (at == nullptr) return true;
  for (ForkLock* taken = all; taken != at; taken = taken->next) taken->lock->unlock();
  return false;
}

// The holder of one may be waiting for another, or be about to make another known. So we hold none while we wait.
void BeforeFork() noexcept {
  for (;;) {
    all_lock.lock();
    if (TryLockAll()) return;
    all_lock.unlock();
    sched_yield();
  }
}

void AfterFork() noexcept {
  for (ForkLock* at = all; at != nullptr; at = at->next) at->lock->unlock();
  all_lock.unlock();
}

void AddLocked(ForkLock& node) noexcept {
  if (all == nullptr) {
    const int error = ::pthread_atfork(&BeforeFork, &AfterFork, &AfterFork);
    WEFT_CHECK(error == 0) << "pthread_atfork failed with errno " << error;
  }
  node.next = all;
  all = &node;
}

}  // namespace

void TakeOverFork(ForkLock& node) noexcept {
  std::lock_guard guard(all_lock);
  AddLocked(node);
}

void GlobalLock::MakeKnown() noexcept {
  std::lock_guard guard(all_lock);
  if (IsKnown()) return;
  AddLocked(node_);
  known_.store(true, std::memory_order_relaxed);
}

}  // namespace weft::internal
