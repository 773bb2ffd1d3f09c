#include "weft/internal/operation_awaiter.h"

#include <cerrno>
#include <cstdint>

#include "lib/driver/driver.h"
#include "lib/io/open_descriptor.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const WaitKind OperationAwaiter::kReceive = {ParkReason::kReceive, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kSend = {ParkReason::kSend, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kAccept = {ParkReason::kAccept, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kConnect = {ParkReason::kConnect, /*timed=*/false, &OperationAwaiter::Withdraw};

bool OperationAwaiter::Suspend(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kind_, static_cast<Operation*>(&operation_))) return true;
  const bool may_go_on = may_go_on_;
  if (!Start()) return true;  // not ours any more: it may have completed on another carrier
  operation_.use.Leave();
  if (&kind_ == &kAccept && operation_.result >= 0) ChargeAcceptOnly();
  if (may_go_on) {
    GoOnInstead();
    return false;
  }
  YieldInstead();
  return true;
}

// Returns what Driver::Start() would. A driver may look for a Close() only where the call would wait; one that has come
// since the use began is found here, whatever there is to read.
bool OperationAwaiter::Start() noexcept {
  if (!operation_.use || operation_.use->closing()) {
    operation_.result = -EBADF;
    return true;
  }
  operation_.request.fd = operation_.use->fd();
  operation_.pending = &operation_.use->pending();
  operation_.thread = CurrentThread();
  operation_.complete = &Complete;
  operation_.use->Attach(kind_.reason);
  return StartOperation(operation_);
}

void OperationAwaiter::Complete(Operation& operation) noexcept {
  auto& pending = static_cast<Pending&>(operation);
  ThreadBlock& thread = *pending.thread;
  bool cancelled = pending.result == -ECANCELED && pending.cancelled;
  if (cancelled && pending.use->closing()) {
    pending.result = -EBADF;
    cancelled = false;
  }
  pending.use.Leave();
  cancelled ? WakeCancelled(thread) : Wake(thread);
}

// The operation still ends, once, and its completion wakes the thread, either with a result or to be unwound.
bool OperationAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto& operation = *static_cast<Operation*>(thread.waiting_on);
  operation.driver->RequestCancel(operation);
  return false;
}

}  // namespace weft::internal
