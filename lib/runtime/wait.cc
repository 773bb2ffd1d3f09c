#include "weft/internal/wait.h"

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "lib/cancel/boundary.h"
#include "lib/os/clock.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// Not inlined, and opaque even to link-time optimisation: a coroutine that calls it before and after a suspension may
// be on two OS threads, and the compiler must not keep the address of the variable, or its value.
[[gnu::noinline]] ThreadBlock* CurrentThread() noexcept {
  asm volatile("");
  Carrier* carrier = Carrier::Current();
  return carrier == nullptr ? nullptr : carrier->current;
}

uint64_t CurrentThreadId() noexcept {
  const ThreadBlock* const thread = CurrentThread();
  return thread == nullptr ? 0 : thread->id;
}

ThreadBlock& RequireThread(const char* what) noexcept { return *Carrier::Require(what).current; }

bool AtCheckpoint() noexcept { return Carrier::Require("co_await of a wait").AtCheckpoint(); }

bool EnterWait(AwaitingFrame frame, const WaitKind& kind, void* waiting_on) noexcept {
  return Carrier::Current()->EnterWait(frame, kind, waiting_on);
}

bool EnterBoundary(PromiseBase& frame) noexcept { return Carrier::Current()->EnterBoundary(frame); }

std::coroutine_handle<> GoOnWith(PromiseBase& frame, bool may_go_on) noexcept {
  return Carrier::Current()->GoOnWith(frame, may_go_on);
}

void YieldInstead() noexcept { Carrier::Current()->action = Action::kYield; }

void GoOnInstead() noexcept {
  Carrier& carrier = *Carrier::Current();
  carrier.action = Action::kGone;
  carrier.current->wait.store(nullptr, std::memory_order_relaxed);
}

bool HasUsedUpTurn() noexcept { return !Carrier::Current()->HasShare(); }

bool EnterWaitAgain(const WaitKind& kind, std::source_location where) noexcept {
  Carrier& carrier = *Carrier::Current();
  ThreadBlock& thread = *carrier.current;
  // As in EnterBoundary(); earlier requests are known.
  if (carrier.SeeBeforeWait(thread).requested() && IsCancelled(thread)) {
    thread.unwind = true;
    return false;
  }
  carrier.observed.waits_at = where;
  thread.wait.store(&kind, std::memory_order_relaxed);
  carrier.action = Action::kPark;
  return true;
}

void ChargeAcceptOnly() noexcept { Carrier::Current()->ChargeAcceptOnly(); }

std::coroutine_handle<> AwaitChildren(ScopeRecord& scope, AwaitingFrame frame) noexcept {
  return Carrier::Require("co_await of a join").AwaitChildren(scope, frame);
}

namespace {

// A function that was called for a virtual thread, or for an executor, has the clock of its runtime, or else that of
// the machine.
[[gnu::cold, gnu::noinline]] Clock& ClockOfCall() noexcept {
  YieldInCall();
  if (Carrier::Current() == nullptr) {
    if (const RuntimeCore* const around = RuntimeAround()) return *around->config.clock;
    if (CallAsked() != nullptr) return Clock::Real();
  }
  return *Carrier::Require("reading the runtime's clock").runtime.config.clock;
}

Clock& CallersClock() noexcept {
  const Carrier* const carrier = Carrier::Current();
  return carrier != nullptr && carrier->current != nullptr ? *carrier->runtime.config.clock : ClockOfCall();
}

}  // namespace

int64_t RuntimeNow() noexcept { return CallersClock().NowNanos(); }

int64_t RuntimeWallNow() noexcept { return CallersClock().WallNanos(); }

}  // namespace weft::internal
