// What follows from the end of a child: its policy is told, its failure is kept, the scope is shut down, the next child
// starts, the owner is given the subtask; and what a join makes of all that.
//
// The order matters, and ChildEnded() has it: the result is published before the policy is told; a result that nobody
// can read is destroyed before the owner can go on; the child leaves last.
#ifndef WEFT_INTERNAL_POLICY_SCOPE_H_
#define WEFT_INTERNAL_POLICY_SCOPE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <optional>

#include "weft/internal/cancellable_scope.h"
#include "weft/internal/child.h"
#include "weft/internal/completion_queue.h"
#include "weft/internal/failures.h"
#include "weft/internal/policy_turns.h"
#include "weft/internal/thread_block.h"
#include "weft/outcome.h"
#include "weft/scope_options.h"

namespace weft::internal {

// What a scope calls of its policy, when subtasks are forked and when they end. (policy.h)
struct PolicyHooks {
  bool shut_down_on_failure = false;
  bool takes_any_subtask = false;  // on_complete is for subtasks of every type
  // Null: nothing to do. Called in a turn of the policy. The first may throw; the second returns whether to shut the
  // scope down.
  void (*on_fork)(void* policy, ChildBase& child) = nullptr;
  bool (*on_complete)(void* policy, ChildBase& child) noexcept = nullptr;
};

class PolicyScope : public CancellableScope {
 protected:
  [[gnu::always_inline]] PolicyScope(const Opener& opener, const PolicyHooks& hooks, void* policy,
                                     CompletionQueue* completions, const ScopeOptions& options)
      : CancellableScope(opener, options),
        hooks_(hooks),
        policy_(policy),
        completions_(completions) {
    if (completions == nullptr && limit_.unlimited()) {
      state_.store(static_cast<uint8_t>((hooks.on_fork == nullptr ? kPlainForks : 0) |
                                        (hooks.on_complete == nullptr ? kPlainEnds : 0)),
                   std::memory_order_relaxed);
    }
  }
  ~PolicyScope() = default;

  // The thread that forks. If the policy throws, the child is gone.
  void AnnounceFork(ChildBase& child);
  // The same, for a fork for which there was no memory: returns a subtask that has failed, with a reference.
  ChildBase& FailFork(bool daemon);
  // Called by the child at its end. Afterwards its carrier counts it.
  void ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept;
  void QuietChildEnded(ChildBase& child) noexcept;
  // The owner, after a join. `with_timeout`: if its own timeout has shut the scope, that is the first failure.
  Outcome MakeOutcome(bool with_timeout);

  // ---- Constant.
  const PolicyHooks& hooks_;
  void* const policy_;
  CompletionQueue* const completions_;  // null: the scope has no NextCompleted()

  PolicyTurns policy_turns_;

 private:
  bool Complete(ChildBase& child, Completion kind, bool daemon, std::optional<PolicyTurn>& turn) noexcept;
  [[gnu::noinline]] bool DropUnread(ChildBase& child, ThreadBlock::Ending ending, bool kept) noexcept;
  Outcome CollectFailures(bool with_timeout);

  Failures failures_;  // guarded by lock_
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_POLICY_SCOPE_H_
