#include "lib/runtime/cancel_queue.h"

#include <mutex>

#include "lib/runtime/runtime_core.h"

namespace weft::internal {

void CancelQueue::Scopes::Push(ScopeRecord& scope) noexcept {
  std::lock_guard guard(lock_);
  scope.next_in_cancel_queue = nullptr;
  (front_ == nullptr ? front_ : back_->next_in_cancel_queue) = &scope;
  back_ = &scope;
  pending_.store(true, std::memory_order_relaxed);
}

ScopeRecord* CancelQueue::Scopes::Pop() noexcept {
  if (!MayHave()) return nullptr;
  std::lock_guard guard(lock_);
  ScopeRecord* const scope = front_;
  if (scope == nullptr) return nullptr;
  front_ = scope->next_in_cancel_queue;
  if (front_ == nullptr) pending_.store(false, std::memory_order_relaxed);
  return scope;
}

void CancelQueue::Enqueue(ScopeRecord& scope) noexcept {
  (scope.runs_user_code() ? stop_callbacks_ : shutdowns_).Push(scope);
  runtime_.NotifyWork();
}

bool CancelQueue::RunBatch(int max) noexcept {
  ScopeRecord* const scope = shutdowns_.Pop();
  if (scope == nullptr) return false;
  if (!scope->ShutDownSome(max)) Enqueue(*scope);
  return true;
}

// Called by carriers between their threads, and by OS threads that have made a request. Makes the callbacks of one
// StopOnCancel.
bool CancelQueue::RunStopCallbacks() noexcept {
  // A callback may make requests itself, which are carried out when it has returned.
  static thread_local bool running = false;
  if (running) return false;
  ScopeRecord* const scope = stop_callbacks_.Pop();
  if (scope == nullptr) return false;
  running = true;
  scope->ShutDownSome(1);
  running = false;
  return true;
}

}  // namespace weft::internal
