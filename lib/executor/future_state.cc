#include "weft/executor/future_state.h"

#include <cstdint>
#include <mutex>
#include <source_location>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/cancel/explain.h"
#include "lib/executor/done_word.h"
#include "lib/executor/future_references.h"
#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "lib/timer/deadline.h"
#include "weft/cancel_reason.h"
#include "weft/executor/future_references.h"
#include "weft/executor/when.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// A thread that waits has a handle.
const WaitKind FutureBase::kWait = {ParkReason::kFuture, /*timed=*/false, &Waiters::Withdraw};

FutureBase::~FutureBase() = default;

void FutureBase::DropHandle() noexcept {
  switch (references_.DropHandle()) {
    case FutureReferences::Dropped::kOthersHaveHandles:
      return;
    case FutureReferences::Dropped::kLastHandle:
      if (done()) DropOutcome();
      return LetGo();
    case FutureReferences::Dropped::kLast:
      delete this;
  }
}

void FutureBase::LetGo() noexcept {
  if (references_.DropKeeper()) delete this;
}

constinit const SelectableWait<ThreadBlock> FutureBase::kSelect = {
    .lock = [](void* future) noexcept { return &static_cast<FutureBase*>(future)->waiters_.lock; },
    .take = [](void* future) noexcept { return SelectTaken{.taken = static_cast<FutureBase*>(future)->done()}; },
    .finish = nullptr,
    .add = [](void* future,
              WaitCase<ThreadBlock>& node) noexcept { static_cast<FutureBase*>(future)->waiters_.Add(node); },
    .after_add = nullptr,
    .take_back =
        [](void* future, WaitCase<ThreadBlock>& node) noexcept {
          static_cast<FutureBase*>(future)->waiters_.TakeBack(node);
        },
};

bool FutureBase::Suspend(AwaitingFrame frame) noexcept {
  return WaitIn(waiters_, frame, kWait, [this] { return word_.done(); });
}

void FutureBase::AddCase(DoneCase& a_case) noexcept {
  std::lock_guard guard(waiters_.lock);
  if (word_.done()) {
    WaitNodes nobody;  // the caller does not wait yet
    a_case.wait->Give(a_case, nobody);
  } else {
    cases_.PushBack(&a_case);
  }
}

// Also waits until a Publish() has left the AnyDone.
void FutureBase::TakeBack(DoneCase& a_case) noexcept {
  std::lock_guard guard(waiters_.lock);
  if (!word_.done()) DoneCases::Remove(&a_case);
}

void FutureBase::Publish() noexcept {
  WaitNodes woken;
  bool sleepers;
  {
    std::lock_guard guard(waiters_.lock);
    sleepers = word_.Finish();
    waiters_.GrantAll(woken);
    while (DoneCase* const each = cases_.PopFront()) each->wait->Give(*each, woken);
  }
  if (sleepers) word_.WakeSleepers();
  Waiters::WakeAll(woken);
}

void FutureBase::PublishCancelled(const CancelCause& cause) noexcept {
  ended_ = Ended::kCancelled;
  cause_ = cause;
  Publish();
}

void FutureBase::PublishBroken() noexcept {
  ended_ = Ended::kBroken;
  Publish();
}

void FutureBase::RequestCancel(const CancelCause& cause) noexcept {
  Keep();  // as in CompleteBy()
  if (Claim()) PublishCancelled(cause);
  LetGo();
}

bool FutureBase::AwaitBlocking(const char* what, absl::Duration timeout) noexcept {
  WEFT_CHECK(CurrentCarrier() == nullptr)
      << what << " by " << DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits the form without Blocking";
  if (timeout == absl::InfiniteDuration()) return word_.Await(kNoDeadlineNs);
  return word_.Await(DeadlineAfter(CallersNow(), timeout));
}

absl::Status FutureBase::StatusWithoutOutcome() const {
  if (ended_ == Ended::kBroken) {
    return absl::AbortedError("broken promise: the Promise of this future was destroyed without a value");
  }
  return CancelledStatus(Explain(cause_));
}

CancelCause CauseOfCancel(std::source_location where) noexcept {
  const ThreadBlock* const self = CurrentThread();
  return self == nullptr ? CancelCause(CancelReason::Kind::kFutureCancelled, 0, CancelCause::kUnknownTime, where)
                         : CancelCause(CancelReason::Kind::kFutureCancelled, self->id, RuntimeNow(), where);
}

}  // namespace weft::internal
