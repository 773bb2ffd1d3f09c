#include "weft/virtual_thread.h"

#include <string>
#include <string_view>

#include "lib/thread/describe.h"
#include "lib/thread/park_permit.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft {

namespace internal {

constinit const WaitKind ParkAwaiter::kWait = {
    ParkReason::kPark, /*timed=*/false, [](ThreadBlock& thread) noexcept {
      return ParkPermit(static_cast<ThreadIdentity*>(thread.waiting_on)->permit).Withdraw();
    }};

// Without an identity it has no permit: who gives one has a handle.
bool ParkAwaiter::TakePermit() noexcept {
  ThreadIdentity* const identity = CurrentThread()->identity();
  return identity != nullptr && ParkPermit(identity->permit).Take();
}

bool ParkAwaiter::Suspend(AwaitingFrame frame) {
  ThreadIdentity& identity = CurrentThread()->Identity();
  if (!EnterWait(frame, kWait, &identity)) return true;
  if (!ParkPermit(identity.permit).RegisterOrTake()) YieldInstead();
  return true;
}

}  // namespace internal

void VirtualThread::Unpark() const noexcept {
  if (internal::ParkPermit(identity_->permit).Give()) internal::Wake(identity_->WhileItWaits());
}

VirtualThread VirtualThread::Current() {
  return VirtualThread(internal::RequireThread("VirtualThread::Current()").Identity());
}

VirtualThread::State VirtualThread::state() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) {
    return thread == nullptr ? State::kTerminated : internal::StateOf(*thread);
  });
}

VirtualThread::PreciseState VirtualThread::precise_state() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) {
    return thread == nullptr ? PreciseState::kTerminated : internal::PreciseStateOf(*thread);
  });
}

std::string_view VirtualThread::waits_in() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) -> std::string_view {
    // One that was woken has it still, until it is mounted.
    if (thread == nullptr || internal::StateOf(*thread) == State::kRunnable) return "";
    const internal::WaitKind* const wait = thread->wait.load(std::memory_order_relaxed);
    return wait == nullptr ? "" : internal::ParkReasonName(wait->reason);
  });
}

int VirtualThread::carrier() const noexcept {
  return identity_->With(
      [](const internal::ThreadBlock* thread) { return thread == nullptr ? -1 : internal::CarrierOf(*thread); });
}

std::string VirtualThread::ToString() const {
  return identity_->With([&](const internal::ThreadBlock* thread) {
    return thread == nullptr ? internal::DescribeEnded(id(), name()) : internal::DescribeThread(*thread);
  });
}

}  // namespace weft
