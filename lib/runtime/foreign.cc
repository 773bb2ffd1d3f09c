#include "weft/foreign.h"

#include <coroutine>
#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/foreign_state.h"
#include "lib/runtime/foreign_turn.h"
#include "lib/thread/thread_state.h"
#include "weft/cancellation.h"
#include "weft/internal/boundary.h"
#include "weft/internal/check.h"
#include "weft/internal/compiler.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

const char* Cancelled::what() const noexcept { return "a virtual thread is cancelled, while foreign code runs on it"; }

namespace internal {
namespace {

// Foreign work that has begun is waited for, because it may refer to frames of the thread.
constexpr WaitKind kForeignWait = {ParkReason::kForeign, /*timed=*/false, &WaitKind::NotWithdrawn};

}  // namespace

// Foreign code has returned to the carrier. If it waited for something of Weft's, `action` would say so. So it has
// ended, or is suspended elsewhere.
bool AwaitForeign(Turn& turn, ThreadBlock& thread) noexcept {
  ForeignCall& call = *std::exchange(turn.foreign, nullptr);
  thread.leaf = &call.adapter();
  static_cast<void>(turn.SeeBeforeWait(thread));
  thread.wait.store(&kForeignWait, std::memory_order_relaxed);
  thread.waiting_on = &call;
  return call.Park();
}

void ForeignCall::Enter(PromiseBase& adapter) noexcept {
  adapter_ = &adapter;
  Carrier& carrier = *Carrier::Current();
  carrier.foreign = this;
  carrier.action = Action::kForeign;
}

ForeignCall& ForeignCall::BeginOperation(std::coroutine_handle<> awaiting) noexcept {
  Carrier* const carrier = Carrier::Current();
  WEFT_CHECK(carrier != nullptr && carrier->current != nullptr)
      << "co_await of weft::AsForeign() outside a virtual thread; foreign code that has moved to another OS thread "
      << "cannot wait for Weft there";
  WEFT_CHECK(carrier->foreign != nullptr)
      << "co_await of weft::AsForeign() on virtual thread #" << carrier->current->id
      << ", which runs no foreign code below weft::Foreign(), or waits in another weft::AsForeign() already";
  ForeignCall& call = *std::exchange(carrier->foreign, nullptr);
  call.next_ = awaiting;
  return call;
}

void ForeignCall::End() noexcept {
  ThreadBlock& thread = thread_;
  if (state_.End()) Wake(thread);
}

bool ForeignCall::ended() const noexcept { return state_.ended(); }

bool ForeignCall::Park() noexcept { return state_.Park(); }

void ForeignCall::SetException() noexcept {
#if WEFT_EXCEPTIONS
  exception_ = std::current_exception();
  try {
    throw;
  } catch (const Cancelled&) {
    cancelled_ = true;
  } catch (...) {
    // Any other exception belongs to the task, and is thrown there.
  }
#endif
}

void ThrowCancelled(const Boundary& boundary) {
  absl::Status status = StatusAt(boundary);
#if WEFT_EXCEPTIONS
  throw Cancelled(std::move(status));
#else
  WEFT_CHECK(false)
      << "a virtual thread is cancelled (" << status.message()
      << ") while a foreign coroutine waits in weft::AsForeign(); without exceptions there is no way to tell it";
#endif
}

}  // namespace internal
}  // namespace weft
