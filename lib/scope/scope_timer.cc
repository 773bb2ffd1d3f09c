#include "weft/internal/scope_timer.h"

#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/cancellable_scope.h"
#include "lib/cancel/press.h"
#include "weft/internal/wait.h"

namespace weft::internal {

void ScopeTimer::StartTimeout(CancellableScope& scope, absl::Duration timeout) noexcept {
  Start(scope, DeadlineAfter(RuntimeNow(), timeout), [](TimerNode* node) noexcept {
    CancellableScope& expired = *static_cast<Node*>(node)->scope;
    RuntimeCore& runtime = expired.runtime;
    expired.OnTimeout();
    RunShutdowns(runtime);
  });
}

void ScopeTimer::StartPatience(CancellableScope& scope, int64_t deadline_ns) noexcept {
  Start(scope, deadline_ns, [](TimerNode* node) noexcept { PressDrain(static_cast<Node*>(node)->scope->drain_); });
}

void ScopeTimer::StopArmed() noexcept { node_.wheel->Cancel(node_); }

void ScopeTimer::Start(CancellableScope& scope, int64_t deadline_ns, void (*fire)(TimerNode*) noexcept) noexcept {
  node_.scope = &scope;
  node_.fire = fire;
  node_.cancel_waits = true;  // what it touches goes away with the scope
  ArmTimer(node_, deadline_ns);
}

}  // namespace weft::internal
