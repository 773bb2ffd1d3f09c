// What every StructuredTaskScope has in common, whatever its policy: who may do what, and who is still running.
//
//   state     Fork            Join, Close     Shutdown        left by
//   open      starts a child  waits           -> shut down    Shutdown, a policy's decision, a request to the owner
//   shut down starts nothing  waits           nothing         Close, the destructor
//   closed    CHECK           CHECK           CHECK           nothing
//
// Rounds, as in the JDK: the first Fork() after a completed Join() opens a new round; the owner may look at a subtask once a Join() of
// its round has completed.
#ifndef WEFT_INTERNAL_SCOPE_BASE_H_
#define WEFT_INTERNAL_SCOPE_BASE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/cancel_reason.h"
#include "weft/internal/child.h"
#include "weft/internal/lock.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/outcome.h"
#include "weft/subtask.h"
#include "weft/task.h"

namespace weft {

// For one Fork().
struct ForkOptions {
  std::string_view name = {};  // of the virtual thread, which keeps a copy; empty: none
};

namespace internal {

struct BindingNode;

// What a scope's policy does when a subtask completes.
struct PolicyRules {
  bool shut_down_on_failure = false;
  bool shut_down_on_success = false;  // and keep that subtask for its result
};

class ScopeBase : public ScopeRecord {
 public:
  ScopeBase(const ScopeBase&) = delete;
  ScopeBase& operator=(const ScopeBase&) = delete;
  // A scope is a local of the coroutine that opens it: its children are found through the frame it lies in.
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;

  // Starts `task` as a virtual thread of its own, a child of this scope, and returns at once. The child is runnable on any carrier.
  // After the scope was shut down: starts nothing, and the subtask stays kUnavailable. The owner and every virtual thread in the
  // tree below the scope may fork; anyone else is a CHECK, as is a fork under other scoped-value bindings than those at the scope's
  // opening (JEP 453, JEP 446). What happened before Fork() happens before the child.
  template <class T>
  Subtask<FlatValue<T>> Fork(Task<T> task, ForkOptions options = {}) {
    Named name = MakeName(options);
    return Adopt(new TaskChild<T>(std::move(task)), std::move(name));
  }
  // Starts a virtual thread that calls `closure`, which returns a Task, and awaits that. The closure is moved into the child and kept
  // until it has ended, so captures by value are safe.
  template <class F>
    requires IsTask<std::invoke_result_t<std::decay_t<F>&>>
  Subtask<FlatValue<typename std::invoke_result_t<std::decay_t<F>&>::value_type>> Fork(F&& closure, ForkOptions options = {}) {
    using T = typename std::invoke_result_t<std::decay_t<F>&>::value_type;
    Named name = MakeName(options);
    return Adopt(new ClosureChild<std::decay_t<F>, T>(std::forward<F>(closure)), std::move(name));
  }

  // The same for what becomes a Task. (all.h)
  template <BecomesTask A>
  auto Fork(A&& awaitable, ForkOptions options = {}) {
    return Fork(std::move(awaitable).AsTask(), options);
  }

  // Starts no more children and asks those that run to end, but for the caller if it is one. Does not wait, not even until all have
  // been asked: that goes on in batches, on any carrier. Idempotent. The owner and the threads in the tree below.
  void Shutdown();
  bool IsShutdown() const noexcept { return shut(); }

  std::string_view name() const noexcept { return name_; }

 protected:
  ScopeBase(PolicyRules rules, std::string name);
  // Ends what still runs and waits for it, holding the carrier, which meanwhile runs the scope's own descendants and nothing else.
  ~ScopeBase();

  // ---- The owner's, after a join.
  Outcome MakeOutcome();
  ChildBase* first_success() noexcept { return first_success_; }

 private:
  friend class ChildBase;
  friend class ScopeWait;

  // Made before the child, so that nothing is lost if memory is short.
  struct Unref {
    void operator()(ThreadIdentity* identity) const noexcept { identity->Release(); }
  };
  using Named = std::unique_ptr<ThreadIdentity, Unref>;
  [[gnu::always_inline]] static Named MakeName(const ForkOptions& options) {
    return Named(options.name.empty() ? nullptr : NewName(options.name));
  }
  [[gnu::cold, gnu::noinline]] static ThreadIdentity* NewName(std::string_view name) {
    return new ThreadIdentity(std::string(name));
  }

  template <class C>
  auto Adopt(C* child, Named name) {
    using U = typename C::Value;
    Subtask<U> subtask(child);  // one reference is the handle's, the other the run's
    StartChild(*child, name.release());
    return subtask;
  }
  void StartChild(ChildBase& child, ThreadIdentity* name);
  void StartChildChecked(ChildBase& child, ThreadIdentity* name);
  void PlaceChild(ChildBase& child, const ThreadBlock& self, uint32_t round, uint64_t id) noexcept;
  void ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept;
  void ApplyPolicyLocked(ChildBase& child, Completion kind) noexcept;
  void ShutLocked(const CancelReason& reason, const ThreadBlock* spare) noexcept;

  // ---- The operations of the ScopeRecord.
  static const Operations kOperations;
  void RequestShutdown(const CancelReason& reason) noexcept;
  bool ShutDownSome(int max) noexcept;
  void Register(ChildBase& child) noexcept;
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;

  void CheckOwner(const char* what) const;
  void CheckOwnerOrInside(const char* what) const;

  // The parts of a join. (ScopeWait)
  void BeginJoin(const char* what);
  void EndJoin() noexcept { last_join_completed_ = fork_round_.load(std::memory_order_relaxed); }
  // Until then it is only shut down: a thread in the tree that forks meanwhile starts nothing, and is not at fault.
  void EndClose() noexcept {
    EndJoin();
    closed_ = true;
  }
  void BeginClose(const char* what);

  // ---- Constant.
  const PolicyRules rules_;
  const std::string name_;
  const BindingNode* const bindings_;
  const uint64_t serial_;  // of all scopes: the owner's id, and in the low 24 bits which of its scopes

  // ---- The owner's.
  Atomic<uint32_t> fork_round_{0};  // relaxed: threads of a scope nested in this one may fork into it
  uint32_t last_join_completed_ = 0;
  bool closed_ = false;

  // ---- Guarded by lock_, as is shut_.
  bool carrying_on_ = false;  // the shutdown has not reached all children: counted as one, and in the cancel queue
  CancelReason reason_;                 // of the shutdown
  SiblingList children_;                // those that are registered and have not ended
  ThreadBlock* cursor_ = nullptr;       // the next child to ask
  const ThreadBlock* spared_ = nullptr;  // the child that called Shutdown()
  ChildBase* first_success_ = nullptr;  // counted reference
  ThreadQueue failed_;                  // counted references, in the order of their ends; at most 1 + Outcome::kMaxSuppressed
  uint64_t failure_count_ = 0;
};

// The owner waits until all children have ended.
class ScopeWait {
 public:
  using WeftAwaitable = void;

  ScopeWait(const ScopeWait&) = delete;
  ScopeWait& operator=(const ScopeWait&) = delete;

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) noexcept {
    return AwaitChildren(scope_, frame.promise());
  }

 protected:
  enum class Purpose : uint8_t { kJoin, kClose };
  ScopeWait(ScopeBase& scope, Purpose purpose) : scope_(scope), purpose_(purpose) {
    purpose == Purpose::kJoin ? scope.BeginJoin("Join()") : scope.BeginClose("Close()");
  }
  void Finish() noexcept { purpose_ == Purpose::kJoin ? scope_.EndJoin() : scope_.EndClose(); }

 private:
  ScopeBase& scope_;
  const Purpose purpose_;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_INTERNAL_SCOPE_BASE_H_
