#include "weft/executor/when.h"

#include <cstddef>
#include <mutex>
#include <optional>

#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "weft/executor/future_state.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

AnyDone::~AnyDone() {
  for (size_t i = 0; i < size_; ++i) cases_[i].future->TakeBack(cases_[i]);
  while (done_.PopFront() != nullptr) {
  }
}

void AnyDone::Add(DoneCase& a_case, FutureBase& future) noexcept {
  a_case.future = &future;
  a_case.wait = this;
  future.AddCase(a_case);
}

void AnyDone::Give(DoneCase& a_case, WaitNodes& woken) noexcept {
  std::lock_guard guard(waiters_.lock);
  done_.PushBack(&a_case);
  waiters_.GrantAll(woken);
}

std::optional<size_t> AnyDone::Take() noexcept {
  std::lock_guard guard(waiters_.lock);
  const DoneCase* const taken = done_.PopFront();
  if (taken == nullptr) return std::nullopt;
  return static_cast<size_t>(taken - cases_.get());
}

bool AnyDone::await_ready() noexcept {
  if (!AtCheckpoint()) return false;
  std::lock_guard guard(waiters_.lock);
  return !done_.empty();
}

bool AnyDone::Suspend(AwaitingFrame frame) noexcept {
  static constexpr WaitKind kWait = {ParkReason::kFuture, /*timed=*/false, &Waiters::Withdraw};
  return WaitIn(waiters_, frame, kWait, [this] { return !done_.empty(); });
}

}  // namespace weft::internal
