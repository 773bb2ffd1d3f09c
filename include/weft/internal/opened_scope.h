// Which scope is it, in what state, and who may do what with it?
//
//   state     Fork                          Join    Shutdown   a request to it          Close
//   kOpen     starts a child                waits   -> kShut   -> kShut                 -> kShut, then as there
//   kShut     starts what owes a clean-up   waits   nothing    reaches a spared child   waits, then -> kClosed
//   kClosed   CHECK                         CHECK   CHECK      nothing                  CHECK
//
// A request comes from the owner's cancellation, a policy's decision, or the scope's timeout. The destructor takes each
// state: it sends a request and waits, where children are left. (cancellable_scope.h says what a shutdown does.)
//
// Rounds, like in the JDK: the first Fork() after a completed Join() opens a new round; the owner may read a subtask
// once a Join() of its round has completed.
#ifndef WEFT_INTERNAL_OPENED_SCOPE_H_
#define WEFT_INTERNAL_OPENED_SCOPE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

#include "weft/internal/atomic.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/scope_options.h"

namespace weft::internal {

class BindingNode;

// Who opens a scope, and where that thread runs.
struct Opener {
  ThreadBlock& thread;
  RuntimeCore& runtime;
};

class OpenedScope : public ScopeRecord {
 protected:
  // The constructors from here to ScopeBase's are one function: by calls fib(30) by Fork takes 2 % more instructions.
  // (in_place_branches.cc says how it was counted)
  [[gnu::always_inline]] OpenedScope(const Opener& opener, const Operations& operations, const ScopeOptions& options)
      : ScopeRecord(&opener.thread, opener.runtime, operations),
        where_(options.where),
        bindings_(owner->bindings) {}
  ~OpenedScope() = default;

  bool closed() const noexcept { return state_.load(std::memory_order_relaxed) == kClosed; }

  // "the scope 'name' opened at file.cc:31"
  std::string Describe() const;
  // Empty: it has none.
  std::string_view own_name() const noexcept { return name_ == nullptr ? std::string_view() : *name_; }
  // The owner, while it opens the scope.
  [[gnu::cold, gnu::noinline]] void SetName(std::string_view name);

  // ---- CHECKs of the caller, which is about to do `what`.
  void CheckOwner(const char* what) const;
  // The owner, or a thread in the tree below.
  void CheckOwnerOrInside(const char* what) const;
  void CheckJoin(const char* what) const;
  void CheckFork(const ThreadBlock& self) const;
  void CheckForkDaemon(const ThreadBlock& self) const;
  // The caller is not the owner.
  [[noreturn, gnu::cold, gnu::noinline]] void DieOfOther(const char* what) const;
  // The owner: nothing is open that it has opened since.
  void CheckNothingInside(std::source_location closed_at) const {
    if (owner->records.load(std::memory_order_relaxed) == this && owner->bindings == bindings_) [[likely]]
      return;
    CheckOnlyBoundariesInside(closed_at);
  }

  // ---- Rounds.
  // A round is known by the id of the first child that the owner has forked in it.
  uint64_t Round() const noexcept { return fork_round_.load(std::memory_order_relaxed); }
  // The owner forks a child with that id: which round is it in?
  uint64_t RoundOfFork(uint64_t id) noexcept {
    uint64_t round = fork_round_.load(std::memory_order_relaxed);
    if (round == last_join_completed_) fork_round_.store(round = id, std::memory_order_relaxed);
    return round;
  }
  // The owner: its join has completed.
  void EndJoin() noexcept { last_join_completed_ = fork_round_.load(std::memory_order_relaxed); }
  // May the owner not look at a child of that round yet? (ChildBase::round_)
  bool IsOfOpenRound(uint32_t round) const noexcept {
    const uint64_t current = fork_round_.load(std::memory_order_relaxed);
    return current != last_join_completed_ && static_cast<uint32_t>(current) == round;
  }
  // The owner, at the end of Close(). Until then the scope is only shut: a thread in the tree that forks meanwhile
  // starts nothing, and is not at fault.
  void EndClose() noexcept {
    EndJoin();
    state_.store(kClosed, std::memory_order_relaxed);
  }

  // ---- Constant.
  const std::source_location where_;  // it was opened
  const BindingNode* const bindings_;

 private:
  std::unique_ptr<const std::string> name_;  // null: it has none

  [[noreturn, gnu::cold, gnu::noinline]] void DieOfJoin(const char* what) const;
  [[gnu::cold, gnu::noinline]] void CheckOnlyBoundariesInside(std::source_location closed_at) const;

  // ---- The owner's. Threads of a scope nested in this one may fork into it, and read it. relaxed: one writer; readers
  // were started after the round began.
  Atomic<uint64_t> fork_round_{0};
  uint64_t last_join_completed_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_OPENED_SCOPE_H_
