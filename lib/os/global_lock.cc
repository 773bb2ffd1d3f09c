#include "lib/os/global_lock.h"

#include <pthread.h>
#include <sched.h>

#include <mutex>

#include "weft/internal/check.h"

namespace weft::internal {
namespace {

constinit Lock all_lock;
constinit GlobalLock* all = nullptr;  // under all_lock

}  // namespace

void GlobalLock::MakeKnown() noexcept {
  std::lock_guard guard(all_lock);
  if (IsKnown()) return;
  if (all == nullptr) {
    const int error = ::pthread_atfork(&BeforeFork, &AfterFork, &AfterFork);
    WEFT_CHECK(error == 0) << "pthread_atfork failed with errno " << error;
  }
  next_ = all;
  all = this;
  known_.store(true, std::memory_order_relaxed);
}

// All or none.
bool GlobalLock::TryLockAll() noexcept {
  GlobalLock* at = all;
  while (at != nullptr && at->lock_.try_lock()) at = at->next_;
  if (at == nullptr) return true;
  for (GlobalLock* taken = all; taken != at; taken = taken->next_) taken->unlock();
  return false;
}

// Who holds one may want another, or make another known: we hold nothing while we wait for it.
void GlobalLock::BeforeFork() noexcept {
  for (;;) {
    all_lock.lock();
    if (TryLockAll()) return;
    all_lock.unlock();
    sched_yield();
  }
}

void GlobalLock::AfterFork() noexcept {
  for (GlobalLock* at = all; at != nullptr; at = at->next_) at->unlock();
  all_lock.unlock();
}

}  // namespace weft::internal
