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

template <class Pick>
ScopeRecord* CancelQueue::Scopes::Pop(Pick pick) noexcept {
  if (!MayHave()) return nullptr;
  std::lock_guard guard(lock_);
  ScopeRecord* before = nullptr;
  ScopeRecord* scope = front_;
  for (; scope != nullptr && !pick(*scope); scope = scope->next_in_cancel_queue) before = scope;
  if (scope == nullptr) return nullptr;
  (before == nullptr ? front_ : before->next_in_cancel_queue) = scope->next_in_cancel_queue;
  if (scope == back_) back_ = before;
  if (front_ == nullptr) pending_.store(false, std::memory_order_relaxed);
  return scope;
}

void CancelQueue::Enqueue(ScopeRecord& scope) noexcept {
  (scope.runs_user_code() ? stop_callbacks_ : shutdowns_).Push(scope);
  runtime_.NotifyWork();
}

bool CancelQueue::RunBatch(int max) noexcept {
  ScopeRecord* const scope = shutdowns_.Pop([](const ScopeRecord&) { return true; });
  if (scope == nullptr) return false;
  if (!scope->ShutDownSome(max)) Enqueue(*scope);
  return true;
}

// Called by carriers between their threads, and by OS threads that have made a request.
bool CancelQueue::RunStopCallbacks(const ThreadBlock* below) noexcept {
  return RunPickedStopCallbacks([below](const ScopeRecord& scope) {
    const ThreadBlock* at = scope.owner;
    while (below != nullptr && at != below && at->home() != nullptr) at = at->home()->owner;
    return below == nullptr || at == below;
  });
}

bool CancelQueue::RunStopCallbacksOf(const PinnedWait& wait, const ThreadBlock* mounted) noexcept {
  return RunPickedStopCallbacks([&](const ScopeRecord& scope) {
    return &scope == wait.of || scope.owner == mounted || wait.may_run(wait.of, *scope.owner);
  });
}

// Makes the callbacks of one StopOnCancel.
template <class Pick>
bool CancelQueue::RunPickedStopCallbacks(Pick pick) noexcept {
  // A callback may make requests itself, which are carried out when it has returned.
  static thread_local bool running = false;
  if (running) return false;
  ScopeRecord* const scope = stop_callbacks_.Pop(pick);
  if (scope == nullptr) return false;
  running = true;
  scope->ShutDownSome(1);
  running = false;
  return true;
}

}  // namespace weft::internal
