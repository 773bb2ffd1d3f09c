// What every StructuredTaskScope has in common, whatever its policy: who may do what, and who is still running.
//
//   state     Fork            Join, Close     Shutdown        left by
//   open      starts a child  waits           -> shut down    Shutdown, a policy's decision, a request to the owner
//   shut down starts nothing  waits           nothing         Close, the destructor
//   closed    CHECK           CHECK           CHECK           nothing
//
// Rounds, as in the JDK: the first Fork() after a completed Join() opens a new round; the owner may look at a subtask
// once a Join() of its round has completed. (What a shutdown does: scope_shutdown.cc)
#ifndef WEFT_INTERNAL_SCOPE_BASE_H_
#define WEFT_INTERNAL_SCOPE_BASE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/child.h"
#include "weft/internal/completion_queue.h"
#include "weft/internal/concurrency_limit.h"
#include "weft/internal/drain_nodes.h"
#include "weft/internal/failures.h"
#include "weft/internal/into_task.h"
#include "weft/internal/lock.h"
#include "weft/internal/policy_turns.h"
#include "weft/internal/record.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/timer_node.h"
#include "weft/outcome.h"
#include "weft/scope_options.h"
#include "weft/subtask.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft {
namespace internal {

class BindingNode;

// What a scope's policy has to do with the forks and the ends of its subtasks. (policy.h)
struct PolicyHooks {
  bool shut_down_on_failure = false;
  bool takes_any_subtask = false;  // on_complete is for subtasks of every type
  // Null: nothing to do. Under the policy lock; the first may throw, the second gives whether to shut the scope down.
  void (*on_fork)(void* policy, ChildBase& child) = nullptr;
  bool (*on_complete)(void* policy, ChildBase& child) noexcept = nullptr;
};

class ScopeBase : public ScopeRecord {
 public:
  // Its children are found through the frame it lies in. (The compiler shows these lines to callers who break them.)
  ScopeBase(const ScopeBase&) = delete;  // a scope is neither copied nor moved
  ScopeBase& operator=(const ScopeBase&) = delete;
  static void* operator new(size_t) = delete;    // a scope is a local variable of the coroutine that opens it
  static void* operator new[](size_t) = delete;  // a scope is a local variable of the coroutine that opens it
  template <class... Where>
  static void* operator new(size_t, Where...) = delete;  // a scope is a local variable of the coroutine that opens it

  // Starts `task` as a virtual thread of its own, a child of this scope, and returns at once. Any carrier may run the
  // child. After a shutdown of the scope, it starts only what has promised a clean-up (finally.h), and the subtask
  // stays kUnavailable. Without memory for the child, it starts nothing, and the subtask has failed
  // (kResourceExhausted, std::bad_alloc); the policy sees that like any failure. The owner and every virtual thread in
  // the tree below the scope may call it. Any other caller is a CHECK, and so is a fork under other scoped-value
  // bindings than those at the scope's opening (JEP 453, JEP 446). What happened before Fork() happens before the
  // child.
  template <IntoTask A>
  Subtask<FlatValue<ValueOf<A>>> Fork(A&& task, ForkOptions options = {}) {
    return Adopt<TaskChild<ValueOf<A>>>(options, AsTask(std::forward<A>(task)));
  }
  // Starts a virtual thread that calls `closure`, which returns a Task, and awaits that Task. The closure is moved into
  // the child and kept until the child has ended, so captures by value are safe.
  template <class F>
    requires GivesTask<std::decay_t<F>&>
  Subtask<FlatValue<ValueOfCall<std::decay_t<F>&>>> Fork(F&& closure, ForkOptions options = {}) {
    using T = ValueOfCall<std::decay_t<F>&>;
    return Adopt<ClosureChild<std::decay_t<F>, T>>(options, std::forward<F>(closure));
  }

  // Starts a daemon: a child that serves the other children, like a ticker or a watchdog. A join waits until the others
  // have ended, then cancels the daemons (kOthersEnded) and waits for them. A daemon's failure counts for the scope,
  // like that of any child. A policy for subtasks of any type, like Supervisor's, sees the failure; no policy sees a
  // daemon's value. A daemon does not count against max_concurrency. Only the owner may call it. The rest is like
  // Fork().
  template <IntoTask A>
  Subtask<FlatValue<ValueOf<A>>> ForkDaemon(A&& task, ForkOptions options = {}) {
    return Adopt<TaskChild<ValueOf<A>>>(options, AsTask(std::forward<A>(task)), /*daemon=*/true);
  }
  template <class F>
    requires GivesTask<std::decay_t<F>&>
  Subtask<FlatValue<ValueOfCall<std::decay_t<F>&>>> ForkDaemon(F&& closure, ForkOptions options = {}) {
    using T = ValueOfCall<std::decay_t<F>&>;
    return Adopt<ClosureChild<std::decay_t<F>, T>>(options, std::forward<F>(closure), /*daemon=*/true);
  }

  // From now on the scope starts no children. Asks those that run to end, except the caller if it is a child. Does not
  // wait, not even until all have been asked: carriers ask them in batches. Idempotent. The owner and the threads in
  // the tree below may call it. `why` is for the CancelReason of the cancelled children.
  void Shutdown(Literal why = "", std::source_location where = std::source_location::current());
  bool IsShutdown() const noexcept { return shut(); }

 protected:
  // `policy` is for the hooks; `completions`, if it is not null, gets the subtasks that complete. Both outlive the
  // scope.
  ScopeBase(const PolicyHooks& hooks, void* policy, CompletionQueue* completions, const ScopeOptions& options);
  // Ends what still runs and waits for it, holding the carrier, which meanwhile runs the scope's own descendants and
  // nothing else.
  ~ScopeBase();

  void CheckOwner(const char* what) const;
  // "the scope 'name' opened at file.cc:31"
  std::string Describe() const;

  // ---- The owner's, after a join.
  // `with_timeout`: one by which the scope was shut down counts as the first failure.
  Outcome MakeOutcome(bool with_timeout);
  // Held during each call of the policy. (policy_turns.h)
  class PolicyTurn {
   public:
    PolicyTurn(ScopeBase& scope, const char* hook) : turns_(scope.policy_turns_) { turns_.Enter(hook); }
    PolicyTurn(const PolicyTurn&) = delete;
    PolicyTurn& operator=(const PolicyTurn&) = delete;
    ~PolicyTurn() { turns_.Leave(); }

   private:
    PolicyTurns& turns_;
  };
  // Has the scope's own timeout shut it down?
  bool TimedOut() const noexcept;
  // But for daemons.
  bool AllEnded() noexcept;
  // For policies and NextCompleted(): one more handle.
  template <class Handle>
  static Handle HandleTo(ChildBase& child) noexcept {
    child.AddRef();
    return AdoptHandle<Handle>(child);
  }
  static ChildBase& ChildOf(const AnySubtask& handle) noexcept { return handle.child(); }
  // Takes over one reference.
  template <class Handle>
  static Handle AdoptHandle(ChildBase& child) noexcept {
    return Handle(&child);
  }

 private:
  friend class ChildBase;
  friend std::string DescribeRecord(const Record& record);
  // Null if it is none of these.
  static const ScopeBase* From(const ScopeRecord& scope) noexcept {
    return Has(scope, kOperations) ? static_cast<const ScopeBase*>(&scope) : nullptr;
  }
  friend class ScopeWait;

  // Who is being asked to end, some at a time. Unless it is nobody, this is counted as a child, and the scope is in the
  // cancel queue.
  enum class Asking : uint8_t { kNobody, kDaemons, kAll };

  // Null: there was no memory.
  [[gnu::cold, gnu::noinline]] static ThreadIdentity* NewName(std::string_view name) noexcept;

  template <class C, class Source>
  auto Adopt(const ForkOptions& options, Source&& source, bool daemon = false) {
    using U = typename C::Value;
    struct Memory {
      ~Memory() {
        if (block != nullptr) FreeFrame(block, sizeof(C), alignof(C));
      }
      void* block;
    };
    Memory memory(AllocateFrameNoThrow(sizeof(C), alignof(C)));
    if (memory.block == nullptr) [[unlikely]]
      return AdoptHandle<Subtask<U>>(FailFork(daemon));
    // Made before the child, so that nothing is lost.
    ThreadIdentity* name = nullptr;
    if (!options.name.empty() && (name = NewName(options.name)) == nullptr) [[unlikely]]
      return AdoptHandle<Subtask<U>>(FailFork(daemon));
    C* const child = MakeChild<C>(memory.block, name, std::forward<Source>(source));
    memory.block = nullptr;
    Subtask<U> subtask(child);  // one reference is the handle's, the other the run's
    if (name != nullptr || daemon) [[unlikely]] {
      StartChildChecked(*child, name, daemon);
    } else {
      StartChild(*child);
    }
    return subtask;
  }
  template <class C, class Source>
  static C* MakeChild(void* memory, ThreadIdentity* name, Source&& source) {
    if constexpr (std::is_nothrow_constructible_v<C, Source&&>) {
      static_cast<void>(name);
      return ::new (memory) C(std::forward<Source>(source));
    } else {
      struct Unref {
        ~Unref() {
          if (identity != nullptr) identity->Release();
        }
        ThreadIdentity* identity;
      };
      Unref unref(name);
      C* const child = ::new (memory) C(std::forward<Source>(source));
      unref.identity = nullptr;
      return child;
    }
  }
  // A fork for which there was no memory: gives a subtask that has failed, with a reference.
  ChildBase& FailFork(bool daemon);
  void StartChild(ChildBase& child);
  void StartChildChecked(ChildBase& child, ThreadIdentity* name, bool daemon);
  uint64_t RoundOfFork(uint64_t id) noexcept;
  void PlaceChild(ChildBase& child, uint64_t round, uint64_t id) noexcept;
  void CheckFork(const ThreadBlock& self) const;
  void CheckForkDaemon(const ThreadBlock& self) const;
  void CancelUnstarted(ChildBase& child, ThreadBlock& self) noexcept;
  void PlaceDaemon(ChildBase& child) noexcept;
  void AnnounceFork(ChildBase& child);
  void StartWithinLimit(ChildBase& child) noexcept;
  void ChildEnded(ChildBase& child, ThreadBlock::Ending ending) noexcept;
  [[gnu::noinline]] bool DropUnread(ChildBase& child, ThreadBlock::Ending ending, bool kept) noexcept;
  void Forget(ChildBase& child) noexcept;
  void ForgetLocked(ChildBase& child) noexcept;
  bool Complete(ChildBase& child, Completion kind, bool daemon) noexcept;
  Outcome CollectFailures(bool with_timeout);
  void ShutLocked(const CancelCause& cause, const ThreadBlock* spare) noexcept;
  CancelCause CauseFor(Asker asker) const noexcept;
  void AskFromTheFirst(Asking whom) noexcept;

  // ---- The operations of the ScopeRecord.
  static const Operations kOperations;
  void RequestShutdown(const CancelCause& cause) noexcept;
  void RequestShutdownLocked(const CancelCause& cause) noexcept;
  void TimeIsUp() noexcept;
  bool ShutDownSome(int max) noexcept;
  void SetPatience(int64_t deadline_ns) noexcept;
  void ExcludeDaemons() noexcept;
  void EndDaemons() noexcept;
  bool IncludeDaemonsLocked() noexcept;
  void Register(ChildBase& child) noexcept;
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;

  void CheckOwnerOrInside(const char* what) const;
  [[noreturn, gnu::cold, gnu::noinline]] void DieOfOther(const char* what) const;
  // The owner: that nothing is open that it has opened since.
  void CheckNothingInside(std::source_location closed_at) const;
  [[gnu::cold, gnu::noinline]] void CheckOnlyBoundariesInside(std::source_location closed_at) const;

  // The parts of a join. (ScopeWait)
  void BeginJoin(const char* what);
  void EndJoin() noexcept { last_join_completed_ = fork_round_.load(std::memory_order_relaxed); }
  // Until then it is only shut down: a thread in the tree that forks meanwhile starts nothing, and is not at fault.
  void EndClose() noexcept {
    EndJoin();
    closed_.store(true, std::memory_order_relaxed);
  }
  void BeginClose(const char* what, std::source_location where);
  // May the owner not look at a child of that round yet? (ChildBase::round_)
  bool IsOfOpenRound(uint32_t round) const noexcept {
    const uint64_t current = fork_round_.load(std::memory_order_relaxed);
    return current != last_join_completed_ && static_cast<uint32_t>(current) == round;
  }
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }
  // A request of this scope's own.
  CancelCause MakeCause(CancelReason::Kind kind, uint64_t thread) const noexcept;

  // ---- Constant.
  const PolicyHooks& hooks_;
  void* const policy_;
  CompletionQueue* const completions_;
  ConcurrencyLimit limit_;  // guarded by lock_, except its maximum
  const bool timed_;        // it has a timeout of its own
  const bool plain_forks_;  // nothing but starting the child is to be done
  const bool quiet_;        // nothing follows from the success of a child that the scope has not heard of
  const std::string name_;
  const std::source_location where_;  // it was opened
  const BindingNode* const bindings_;

  // ---- The owner's.
  // Threads of a scope nested in this one may fork into it, and read the atomic ones.
  // The round, by the id of the first child that the owner has forked in it.
  Atomic<uint64_t> fork_round_{0};  // relaxed: one writer; who reads it was started after the round began
  uint64_t last_join_completed_ = 0;
  Atomic<bool> closed_{false};  // relaxed: one writer; it serves to find a mistake

  struct Timer : TimerNode {
    void Start(ScopeBase& timed, absl::Duration timeout) noexcept;
    void Stop() noexcept;
    ScopeBase* scope;
  };
  Timer timer_;  // of its own timeout; when its owner drains, of the patience
  Drain drain_;

  PolicyTurns policy_turns_;

  // ---- Guarded by lock_, as is shut_.
  bool timed_out_ = false;    // the scope's own timeout has shut it down
  Asking asking_ = Asking::kNobody;
  // As whom the scope asks its children since it is shut. From then on each of the causes is constant, and read by
  // children that were asked.
  Asker asker_ = Asker::kScope;
  union {
    CancelCause cause_;  // of the shutdown; not set before
  };
  union {
    CancelCause later_cause_;  // Asker::kScopeAgain; not set before
  };
  // Asker::kJoin: when; not set before. relaxed: daemons that were asked read it, and it may be of a later join.
  Atomic<int64_t> joined_ns_;
  SiblingList children_;                // those that are registered and have not ended
  ThreadBlock* cursor_ = nullptr;       // the next child to ask
  const ThreadBlock* spared_ = nullptr;  // the child that called Shutdown()
  int64_t daemons_ = 0;          // that have not ended
  bool daemons_excluded_ = false;  // a join waits, and the daemons do not count
  Failures failures_;
};

// "the scope 'name' opened at file.cc:31", or "a boundary".
std::string DescribeRecord(const Record& record);

// The owner waits until all children have ended.
class ScopeWait {
 public:
  using WeftAwaitable = void;

  ScopeWait(ScopeWait&&) = default;  // before it is awaited

  bool await_ready() const noexcept { return false; }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame,
                                        std::source_location where = std::source_location::current()) noexcept {
    return AwaitChildren(scope_, {frame.promise(), where});
  }

 protected:
  enum class Purpose : uint8_t { kJoin, kClose };
  explicit ScopeWait(ScopeBase& scope) : scope_(scope), purpose_(Purpose::kJoin) { scope.BeginJoin("Join()"); }
  ScopeWait(ScopeBase& scope, std::source_location closed_at) : scope_(scope), purpose_(Purpose::kClose) {
    scope.BeginClose("Close()", closed_at);
  }
  void Finish() noexcept { purpose_ == Purpose::kJoin ? scope_.EndJoin() : scope_.EndClose(); }

 private:
  ScopeBase& scope_;
  const Purpose purpose_;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_INTERNAL_SCOPE_BASE_H_
