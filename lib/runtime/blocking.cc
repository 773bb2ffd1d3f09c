#include "weft/blocking.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/os/job_pool.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const WaitKind BlockingCall::kWait = {ParkReason::kBlocking, /*timed=*/false, &BlockingCall::Withdraw};

// On the awaiting thread.
void BlockingCall::Start(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, this)) return;
  Carrier& carrier = *Carrier::Current();
  thread_ = carrier.current;
  if (pool_ != nullptr) CheckSameWorld(*pool_);
  // Either way `this` may be gone.
  if (pool_ != nullptr ? pool_->Submit(*this) : carrier.runtime.host->StartJob(*this)) return;
  error_ = kQueueIsFull;
  YieldInstead();
}

// By a requester that has claimed the thread. The call has begun: its end wakes the thread.
bool BlockingCall::Withdraw(ThreadBlock& thread) noexcept {
  auto& call = *static_cast<BlockingCall*>(thread.waiting_on);
  return call.pool_ != nullptr ? call.pool_->Withdraw(call) : thread.runtime().host->WithdrawJob(call);
}

void BlockingCall::Run(Job& job) noexcept {
  auto& call = static_cast<BlockingCall&>(job);
  ThreadBlock& thread = *call.thread_;
  const CallOrigin outside = ExchangeCallOrigin({.thread = &thread, .runtime = &thread.runtime()});
  call.invoke_(call);
  ExchangeCallOrigin(outside);
  WEFT_CHECK(!thread.runtime().inherited())
      << "the function of weft::Blocking() returns in a child of fork(), where " << ThreadLabel(thread)
      << ", which waits for it, does not go on; there, it may call exec() or _exit()";
  Wake(thread);
}

void BlockingCall::Refuse(Job& job, int error) noexcept {
  auto& call = static_cast<BlockingCall&>(job);
  ThreadBlock& thread = *call.thread_;
  call.error_ = error;
  Wake(thread);
}

absl::Status BlockingCall::WhyNotCalled() const {
  if (error_ == kQueueIsFull) {
    return absl::ResourceExhaustedError(
        absl::StrCat("weft::Blocking(): ", Carrier::Require("weft::Blocking()").runtime.config.max_queued_calls,
                     " calls are queued already (RuntimeOptions::max_queued_calls)"));
  }
  // EAGAIN means a limit on OS threads here; elsewhere, a descriptor that is not ready.
  const absl::Status why = ErrnoToStatus(error_, "weft::Blocking(): no OS thread can be made for the call");
  absl::Status status = absl::ResourceExhaustedError(why.message());
  why.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
  return status;
}

}  // namespace weft::internal
