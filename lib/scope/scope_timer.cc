#include "weft/internal/scope_timer.h"

#include <cstdint>

#include "lib/cancel/press.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/cancellable_scope.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

constexpr int64_t kLookAgainNanos = 20'000'000;
constexpr uint8_t kMostDoublings = 4;  // then every 0.3 s

}  // namespace

int64_t ScopeTimer::DeadlineOf(absl::Duration timeout) noexcept { return DeadlineAfter(RuntimeNow(), timeout); }

void ScopeTimer::StartTimeout(CancellableScope& scope) noexcept {
  Start(scope, deadline_ns_, [](TimerNode* node) noexcept {
    CancellableScope& expired = *static_cast<CancellableScope*>(node->subject);
    RuntimeCore& runtime = expired.runtime;
    expired.OnTimeout();
    RunShutdowns(runtime);
  });
}

void ScopeTimer::StartPatience(CancellableScope& scope, int64_t deadline_ns, bool looks_again) noexcept {
  looks_ = 0;
  Start(scope, deadline_ns, looks_again ? &PatienceIsOver : [](TimerNode* node) noexcept {
    Press(*static_cast<CancellableScope*>(node->subject));
  });
}

bool ScopeTimer::Press(CancellableScope& scope) noexcept {
  ScopeTimer& timer = scope.timer_;
  if (!BeginPressed(scope.runtime, timer.seen_, /*urgent=*/timer.looks_ == kMostDoublings)) return false;
  PressForPermit(scope.drain_);
  return true;
}

// An owner that goes on holds a carrier until its children have ended: for nothing, if nobody waits for its permit. And
// some carriers must be left for the children, which may wait for those of other owners.
void ScopeTimer::PatienceIsOver(TimerNode* node) noexcept {
  CancellableScope& scope = *static_cast<CancellableScope*>(node->subject);
  if (AnyPermitIsWanted() && Press(scope)) return;
  const int64_t later_ns = kLookAgainNanos << scope.timer_.looks_;
  if (scope.timer_.looks_ < kMostDoublings) ++scope.timer_.looks_;
  node->wheel->Insert(*node, SaturatedSum(node->deadline_ns, later_ns));
}

void ScopeTimer::StopArmed() noexcept { node_.wheel->Cancel(node_); }

void ScopeTimer::Start(CancellableScope& scope, int64_t deadline_ns, void (*fire)(TimerNode*) noexcept) noexcept {
  node_.subject = &scope;
  node_.fire = fire;
  node_.cancel_waits = true;  // what it touches goes away with the scope
  ArmTimer(node_, deadline_ns);
}

}  // namespace weft::internal
