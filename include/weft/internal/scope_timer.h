// The timer of a scope. It runs for the scope's own timeout, from the opening. When the owner drains (drain.h) it runs
// for the patience that the owner has with the children instead: by then the scope is shut.
#ifndef WEFT_INTERNAL_SCOPE_TIMER_H_
#define WEFT_INTERNAL_SCOPE_TIMER_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "absl/time/time.h"
#include "weft/internal/timer_node.h"

namespace weft::internal {

class CancellableScope;

class ScopeTimer {
 public:
  // From now on.
  explicit ScopeTimer(absl::Duration timeout) noexcept
      : deadline_ns_(timeout == absl::InfiniteDuration() ? INT64_MAX : DeadlineOf(timeout)) {}
  ScopeTimer(const ScopeTimer&) = delete;
  ScopeTimer& operator=(const ScopeTimer&) = delete;
  ~ScopeTimer() = default;  // stopped

  // Constants: when the scope's own timeout is over, and has it any?
  int64_t deadline_ns() const noexcept { return deadline_ns_; }
  bool timed() const noexcept { return deadline_ns_ != INT64_MAX; }

  // The owner. The scope's OnTimeout() is called after the timeout.
  void StartTimeout(CancellableScope& scope) noexcept;
  // The owner, which drains: is pressed at the deadline; if it `looks_again`, not before a thread waits for a permit.
  void StartPatience(CancellableScope& scope, int64_t deadline_ns, bool looks_again) noexcept;
  // Takes it back, or waits until the call is over.
  void Stop() noexcept {
    if (node_.wheel != nullptr) StopArmed();
  }

  // Guarded by the scope's lock: the timeout is what has shut the scope.
  bool has_shut_scope = false;

 private:
  static int64_t DeadlineOf(absl::Duration timeout) noexcept;
  void StopArmed() noexcept;
  static bool Press(CancellableScope& scope) noexcept;
  static void PatienceIsOver(TimerNode* node) noexcept;
  void Start(CancellableScope& scope, int64_t deadline_ns, void (*fire)(TimerNode*) noexcept) noexcept;

  const int64_t deadline_ns_;
  uint8_t looks_ = 0;  // of an owner that drains, whether a thread waits for a permit
  uint32_t seen_ = 0;  // BeginPressed()
  TimerNode node_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SCOPE_TIMER_H_
