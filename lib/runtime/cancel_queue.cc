#include "lib/runtime/cancel_queue.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <iterator>
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
ScopeRecord* CancelQueue::Scopes::Pop(Pick pick, int most) noexcept {
  if (!MayHave()) return nullptr;
  std::lock_guard guard(lock_);
  ScopeRecord* before = nullptr;
  ScopeRecord* scope = front_;
  for (; scope != nullptr && most > 0 && !pick(*scope); scope = scope->next_in_cancel_queue, --most) before = scope;
  if (scope == nullptr || most == 0) return nullptr;
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
  ScopeRecord* const scope = shutdowns_.Pop([](const ScopeRecord&) { return true; }, INT_MAX);
  if (scope == nullptr) return false;
  if (!scope->ShutDownSome(max)) Enqueue(*scope);
  return true;
}

namespace {

// The requests of an OS thread whose callbacks it calls just now: its own, and those that these callbacks have made in
// the same runtime. Of others, and of more than that, the carriers take care.
struct Requests {
  bool Has(uint64_t thread) const noexcept { return std::find(asked, asked + count, thread) != asked + count; }
  void Note(uint64_t thread) noexcept {
    if (count < std::size(asked) && !Has(thread)) asked[count++] = thread;
  }

  const CancelQueue* const queue;
  uint64_t asked[8];
  size_t count = 0;
};
constinit thread_local Requests* current_requests = nullptr;
constinit thread_local bool in_callback_outside = false;  // this OS thread is in a callback, and is no carrier

}  // namespace

// Called by carriers between their threads.
bool CancelQueue::RunStopCallbacks() noexcept {
  return RunPickedStopCallbacks([](const ScopeRecord&) { return true; }, INT_MAX);
}

// A callback may make requests itself, which are carried out when it has returned.
void CancelQueue::RunStopCallbacksFor(uint64_t asked, int max) noexcept {
  if (current_requests != nullptr) {
    if (current_requests->queue == this) current_requests->Note(asked);
    return;
  }
  Requests requests{.queue = this, .asked = {asked}, .count = 1};
  current_requests = &requests;
  const auto is_asked = [&requests](const ScopeRecord& scope) {
    const ThreadBlock* at = scope.owner;
    while (!requests.Has(at->id) && at->home() != nullptr) at = at->home()->owner;
    return requests.Has(at->id);
  };
  while (max-- > 0 && RunPickedStopCallbacks(is_asked, kLookedAtByOthers)) {
  }
  current_requests = nullptr;
}

bool CancelQueue::RunStopCallbacksOf(const PinnedWait& wait, const ThreadBlock* mounted) noexcept {
  return RunPickedStopCallbacks([&](const ScopeRecord& scope) {
    return &scope == wait.of || scope.owner == mounted || wait.may_run(wait.of, *scope.owner);
  }, INT_MAX);
}

// Makes the callbacks of one StopOnCancel.
template <class Pick>
bool CancelQueue::RunPickedStopCallbacks(Pick pick, int most) noexcept {
  // Outside, a callback may make requests, whose callbacks make requests, and so on: those are for the first call, not
  // for the stack. On a carrier only a destructor that waits gets here within one, and is about those that it waits
  // for.
  const bool outside = Carrier::Current() == nullptr;
  if (outside && in_callback_outside) return false;
  ScopeRecord* const scope = stop_callbacks_.Pop(pick, most);
  if (scope == nullptr) return false;
  if (outside) in_callback_outside = true;
  scope->ShutDownSome(1);
  if (outside) in_callback_outside = false;
  return true;
}

}  // namespace weft::internal
