// StructuredTaskScope: start several things, wait for all of them, leave none behind. (JEP 453)
//
//   weft::Task<absl::StatusOr<Profile>> LoadProfile(UserId id) {
//     weft::ShutdownOnFailure scope;
//     auto user = scope.Fork(FetchUser(id));
//     auto orders = scope.Fork([id] { return FetchOrders(id); });
//     absl::Status joined = co_await scope.Join();
//     if (!joined.ok()) co_return joined;       // the first failure; the others were cancelled and have ended
//     co_return Profile{*user, *orders};
//   }
//
// A scope is a plain object in the coroutine that opens it. The virtual thread of that coroutine is the scope's owner.
// Fork() starts a child; Join() waits until every child has ended. The scope's policy decides what the scope does when
// a child fails or succeeds, and what Join() returns. ShutdownOnFailure is one policy. Others return the first success
// (ShutdownOnSuccess<T>), serve for ever (AwaitAll), hand out results as they come (AsCompleted<T>), or are your own:
// policy.h lists them all.
//
// Options: a name for dumps, a limit on children that run at once, and a timeout, after which the scope is shut down:
//
//   weft::AllSuccessful<Page> scope({.max_concurrency = 8, .timeout = absl::Seconds(10)});
//
// Daemons: ForkDaemon() starts a child that serves the other children. A join waits for those, and then ends the
// daemon.
//
// No child outlives its scope, on any path. Normally the owner joins, or closes on an early exit:
//
//   if (absl::Status s = Check(request); !s.ok()) co_return co_await scope.Close(s);
//
// If the owner is cancelled, the scope is shut down with it, and its children end before anything is destroyed that was
// made before the scope. If the owner leaves by an exception, or returns without Close(), the destructor cancels the
// children and waits. A destructor cannot suspend, so it holds its carrier, which meanwhile runs only the scope's
// descendants. Close() waits without holding the carrier.
//
// Failures. A subtask fails by throwing, or by returning a status that is not OK. Task<absl::StatusOr<T>> forks to
// Subtask<T>, Task<absl::Status> to Subtask<void>. A subtask that completes after the shutdown stays kUnavailable;
// Outcome::failures() still keeps its failure.
//
// Lifetimes. Declare a scope after everything that its children refer to: it is destroyed first, and waits for them.
// A closure's captures live until the coroutine that the closure made is gone; then the child destroys them.
// Captures, parameters, locals and results are destroyed on the virtual thread that they belong to, also when it is
// cancelled. Their destructors see that thread's id and scoped values, and may call Shutdown() and Fork(). A Fork() in
// a cancelled thread, or into a scope that is shut, starts nothing except clean-ups that were promised (finally.h).
// What a Fork() does not start is destroyed by the caller of Fork(). When a join returns, all of this is gone, except
// results that somebody can read (subtask.h).
//
// Callers. Fork() and Shutdown(): the owner, and any virtual thread in the tree below the scope. Join() and Close():
// the owner. Misuse is a CHECK that names both sides: "Fork() by VirtualThread[#7,b]/runnable@carrier-0; the scope is
// owned by VirtualThread[#3,a]/waiting, and ...".
//
// Structure. A scope cannot be copied, moved or allocated on the heap. Scopes and ScopedBindings are closed in the
// reverse order of opening: otherwise the children of an inner scope could outlive an outer one. Join() closes nothing,
// so it may be called while an inner scope is open; the threads of the inner scope go on, and may fork into the outer.
//
// Memory ordering, for any scope: the owner's actions before Fork() happen before the child's. All of a child's actions
// happen before Join() returns.
//
// Cancellation. Join() and Close() are checkpoints. A status of a cancellation says why, when, from which line and by
// which way the request came (cancel_reason.h). So does the handle of a subtask that was cancelled, except for when and
// the way.
//
// Cost. A child costs its frames and one control block, which its handle shares; nothing else is allocated.
#ifndef WEFT_SCOPE_H_
#define WEFT_SCOPE_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/deadline.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/completion_queue.h"
#include "weft/internal/into_task.h"
#include "weft/internal/nodiscard_task.h"
#include "weft/internal/scope_base.h"
#include "weft/outcome.h"
#include "weft/policy.h"
#include "weft/ready.h"
#include "weft/scope_options.h"
#include "weft/subtask.h"
#include "weft/task.h"
#include "weft/text_view.h"
#include "weft/time_span.h"
#include "weft/unit.h"

namespace weft {

namespace internal {

// The part of a scope that outlives its children: children call the policy until the last has ended.
template <class Policy>
struct PolicyHolder {
  Policy policy;
  [[no_unique_address]] std::conditional_t<KeepsCompleted<Policy>, CompletionQueue, Unit> completions;

  CompletionQueue* completion_queue() noexcept {
    if constexpr (KeepsCompleted<Policy>) return &completions;
    return nullptr;
  }
};

// What Fork() takes, if it can also be moved or copied into the child.
template <class Forked>
concept Forkable = WeftAwaitable<Forked> || GivesTask<std::decay_t<Forked>&>;

}  // namespace internal

template <ScopePolicy Policy>
class StructuredTaskScope : private internal::PolicyHolder<Policy>, public internal::ScopeBase {
  using Holder = internal::PolicyHolder<Policy>;
  using Handle = internal::HandleFor<Policy>;

  // Without these, a member with the wrong parameters would be ignored.
  static_assert(internal::SeesForks<Policy> || !requires { &Policy::OnFork; },
                "OnFork() of a policy takes a handle: a Subtask<Value>, or an AnySubtask where there is no Value");
  static_assert(internal::SeesCompletions<Policy> || !requires { &Policy::OnComplete; },
                "OnComplete() of a policy takes a const handle and returns a bool: whether to shut the scope down");
  static_assert(internal::SeesTimeout<Policy> || !requires { &Policy::OnTimeout; },
                "OnTimeout() of a policy takes nothing");

 public:
  using Result = decltype(std::declval<Policy&>().Result(std::declval<Outcome>()));

  // Opens a scope on the current virtual thread. Opened by a cancelled thread, it is shut down from the start.
  explicit StructuredTaskScope(ScopeOptions options = {})
    requires std::is_default_constructible_v<Policy>
      : StructuredTaskScope(Policy(), options) {}
  explicit StructuredTaskScope(TextView name, std::source_location where = std::source_location::current())
    requires std::is_default_constructible_v<Policy>
      : StructuredTaskScope(Policy(), {.name = name, .where = where}) {}
  explicit StructuredTaskScope(Policy policy, ScopeOptions options = {})
      : Holder{std::move(policy), {}}, ScopeBase(kHooks, &this->policy, this->completion_queue(), options) {}

  StructuredTaskScope()  // what its policy is made from is missing: scope(predicate)
    requires(!std::is_default_constructible_v<Policy>)
  = delete;

  // Starts a child: a Task, a closure that returns one, or what becomes one. See ScopeBase::Fork().
  template <class T>
  auto Fork(Task<T> task WEFT_LIFETIME_CAPTURE_BY(this), ForkOptions options = {}) {
    return ForkChild(std::move(task), options);
  }
  template <class Forked>
  auto Fork(Forked&& forked, ForkOptions options = {}) {
    return ForkChild(std::forward<Forked>(forked), options);
  }

  // Starts a daemon: a child, of any result, that a join ends when the other children have ended. See
  // ScopeBase::ForkDaemon().
  template <class T>
  auto ForkDaemon(Task<T> task WEFT_LIFETIME_CAPTURE_BY(this), ForkOptions options = {}) {
    return ScopeBase::ForkDaemon(std::move(task), options);
  }
  template <class Forked>
  auto ForkDaemon(Forked&& forked, ForkOptions options = {}) {
    constexpr bool kForkable = internal::Forkable<Forked>;
    constexpr bool kTaken = internal::TaskOrClosure<Forked>;
    static_assert(kForkable, "ForkDaemon() takes a Task, or a closure without parameters that returns one");
    static_assert(!kForkable || kTaken,
                  "a Task, or what cannot be copied, must be moved into the child: ForkDaemon(std::move(task))");
    if constexpr (kForkable && kTaken) return ScopeBase::ForkDaemon(std::forward<Forked>(forked), options);
  }

  // Starts a service: calls `service` in a child, and waits until it has called Ready::Set(). Returns the subtask, from
  // then on a child like others. If the service ends before, Start() returns kFailedPrecondition; the service's own
  // failure counts for the scope, like that of any child. If the caller is cancelled while it waits (by a timeout
  // around Start(), say), the service is cancelled for the same reason, and the join waits for its end.
  //
  //   auto server = co_await scope.Start([](weft::Ready ready) -> weft::Task<absl::Status> {
  //     auto listener = weft::net::TcpListener::Bind(kAddress);
  //     if (!listener.ok()) co_return listener.status();
  //     ready.Set();
  //     co_return co_await Serve(*std::move(listener));
  //   });
  template <class F>
    requires internal::GivesTask<F&, Ready>
  auto Start(F service, ForkOptions options = {}) {
    return StartService(std::move(service), std::string(options.name), /*daemon=*/false);
  }
  // The same for a service that is a daemon, like a child of ForkDaemon().
  template <class F>
    requires internal::GivesTask<F&, Ready>
  auto StartDaemon(F service, ForkOptions options = {}) {
    return StartService(std::move(service), std::string(options.name), /*daemon=*/true);
  }
  template <class F>
  Task<void> Start(F, ForkOptions = {}) = delete;  // a service takes a weft::Ready and returns a Task
  template <class F>
  Task<void> StartDaemon(F, ForkOptions = {}) = delete;  // a service takes a weft::Ready and returns a Task

  // Waits until every child has ended, and returns what the policy makes of them. May be called again: each round of
  // forks has its join.
  auto Join() {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait, internal::GivesWhenAwaited<Result> {
      explicit Awaiter(StructuredTaskScope& scope) : ScopeWait(scope), scope(scope) {}
      Result await_resume() {
        Finish();
        return scope.MakeResult();
      }
      StructuredTaskScope& scope;
    };
    return Awaiter(*this);
  }

  // Like Join(), but waits for `timeout` at most. Returns a std::optional<Result>, which is empty if children were
  // left; the scope then goes on as before, and is not shut down. A timeout that is not positive looks, and does not
  // wait. Daemons do not count against the timeout: they are asked to end, and waited for, after the other children,
  // together with what is forked meanwhile. For a policy whose Result is an object.
  internal::NodiscardTask<std::optional<Result>> JoinFor(TimeSpan timeout)
    requires std::is_object_v<Result>
  {
    return internal::NodiscardTask<std::optional<Result>>(JoinWithin(timeout));
  }
  // The same, until a time of the monotonic clock, or of the wall clock. (deadline.h)
  internal::NodiscardTask<std::optional<Result>> JoinUntil(Deadline deadline)
    requires std::is_object_v<Result>
  {
    return internal::NodiscardTask<std::optional<Result>>(JoinWithin(deadline));
  }

  // Returns the next subtask that completes, in the order of completion; waits if none has completed. Returns nothing
  // when no forked subtask is left: each was returned, or was cancelled, or found no memory. The owner may read the
  // subtask's result before a join. For scopes that keep completed subtasks: AsCompleted<T>, and policies with
  // kKeepsCompleted.
  auto NextCompleted()
    requires internal::KeepsCompleted<Policy>
  {
    return NextAwaiter(*this);
  }
  Task<void> NextCompleted()  // for AsCompleted<T>, and others whose policy has kKeepsCompleted
    requires(!internal::KeepsCompleted<Policy>)
  = delete;

  // Shuts the scope down, waits until every child has ended, and returns `value`, so that a function can end with
  // `co_return co_await scope.Close(value)`. Nothing can be forked afterwards.
  template <class V>
  auto Close(V value, std::source_location where = std::source_location::current()) {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait, internal::GivesWhenAwaited<V> {
      Awaiter(StructuredTaskScope& scope, V&& kept, std::source_location closed_at)
          : ScopeWait(scope, closed_at), value(std::move(kept)) {}
      V await_resume() {
        Finish();
        return std::move(value);
      }
      V value;
    };
    return Awaiter(*this, std::move(value), where);
  }
  auto Close(std::source_location where = std::source_location::current()) {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait {
      Awaiter(StructuredTaskScope& scope, std::source_location closed_at) : ScopeWait(scope, closed_at) {}
      void await_resume() { Finish(); }
    };
    return Awaiter(*this, where);
  }

 private:
  using ScopeWait = internal::ScopeWait;

  class [[nodiscard("co_await it")]] NextAwaiter : public internal::GivesWhenAwaited<std::optional<Handle>> {
   public:
    using WeftAwaitable = void;
    explicit NextAwaiter(StructuredTaskScope& scope) : scope_(scope) { CheckOwner(); }
    // It may have been passed to another thread: Race(scope.NextCompleted(), ...).
    bool await_ready() noexcept {
      CheckOwner();
      return scope_.completions.AwaitReady();
    }
    template <internal::WeftPromise Promise>
    void await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      scope_.completions.Suspend({frame.promise(), where});
    }
    std::optional<Handle> await_resume() noexcept {
      internal::ChildBase* const child = scope_.completions.Take();
      if (child == nullptr) return std::nullopt;
      return AdoptHandle<Handle>(*child);
    }

   private:
    void CheckOwner() const noexcept { scope_.CheckOwner("NextCompleted()"); }
    StructuredTaskScope& scope_;
  };

  // The hooks that this policy needs.
  static constexpr internal::PolicyHooks MakeHooks() {
    internal::PolicyHooks hooks{.shut_down_on_failure = internal::ShutsDownOnFailure<Policy>(),
                                .takes_any_subtask = std::is_same_v<Handle, AnySubtask>};
    if constexpr (internal::SeesForks<Policy>) {
      hooks.on_fork = [](void* policy, internal::ChildBase& child) {
        static_cast<Policy*>(policy)->OnFork(HandleTo<Handle>(child));
      };
    }
    if constexpr (internal::SeesCompletions<Policy>) {
      hooks.on_complete = [](void* policy, internal::ChildBase& child) noexcept {
        return OnComplete(*static_cast<Policy*>(policy), child);
      };
    }
    return hooks;
  }
  static constexpr internal::PolicyHooks kHooks = MakeHooks();

  static bool OnComplete(Policy& policy, internal::ChildBase& child) noexcept {
    const Handle subtask = HandleTo<Handle>(child);
#if WEFT_EXCEPTIONS
    try {
      return policy.OnComplete(subtask);
    } catch (...) {
      internal::ReportUncaught("OnComplete() of a scope's policy threw", ExceptionToStatus(std::current_exception()),
                               std::current_exception());
      return false;
    }
#else
    return policy.OnComplete(subtask);
#endif
  }

  template <class Forked>
  auto ForkChild(Forked&& forked, const ForkOptions& options) {
    constexpr bool kForkable = internal::Forkable<Forked>;
    constexpr bool kTaken = internal::TaskOrClosure<Forked>;
    static_assert(kForkable, "Fork() takes a Task, or a closure without parameters that returns one");
    static_assert(!kForkable || kTaken,
                  "a Task, or what cannot be copied, must be moved into the child: Fork(std::move(task))");
    if constexpr (kForkable && kTaken) {
      using Forks = decltype(ScopeBase::Fork(std::forward<Forked>(forked), options));
      static_assert(std::is_same_v<Handle, AnySubtask> || std::is_same_v<Handle, Forks>,
                    "every subtask of this scope yields the Value of its policy");
      return ScopeBase::Fork(std::forward<Forked>(forked), options);
    }
  }

  template <class F>
  auto StartService(F service, std::string name, bool daemon)
      -> Task<absl::StatusOr<Subtask<internal::FlatValue<internal::ValueOfCall<F&, Ready>>>>> {
    auto start = std::make_shared<internal::StartState>();
    // A call that no child has taken, for want of memory, goes before the wait: so that is over.
    auto subtask = [&] {
      internal::ServiceCall<F> run(std::move(service), start);
      return daemon ? this->ForkDaemon(std::move(run), {.name = name}) : Fork(std::move(run), {.name = name});
    }();
    internal::StartGuard guard(*start, ScopeBase::ChildOf(subtask));
    co_await start->decided.Wait();
    guard.Decided();
    if (!start->ready) co_return absl::FailedPreconditionError("the service has ended before it was ready");
    co_return subtask;
  }

  template <class Limit>  // a TimeSpan or a Deadline
  Task<std::optional<Result>> JoinWithin(Limit limit) {
    constexpr bool kUntil = std::is_same_v<Limit, Deadline>;
    this->CheckOwner(kUntil ? "JoinUntil()" : "JoinFor()");
    co_await internal::CheckpointAwaiter();
    if (!this->AllEnded()) {
      // If it is unwound by any other request than its own timeout's, this does not come back.
      absl::Status waited;
      if constexpr (kUntil) {
        waited = co_await WithDeadline(limit, WaitForAll());
      } else {
        waited = co_await WithTimeout(limit, WaitForAll());
      }
      // It has joined: a child that was forked since belongs to the next join.
      if (waited.ok()) co_return MakeResult();
      if (!this->AllEnded()) co_return std::nullopt;
    }
    // A Join() could wait for what is forked from now on.
    if (this->has_daemons) co_return co_await Join();
    struct Ended final : ScopeWait {
      explicit Ended(StructuredTaskScope& scope) : ScopeWait(scope) { this->Finish(); }
    };
    static_cast<void>(Ended(*this));
    co_return MakeResult();
  }

  Task<void> WaitForAll() {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait {
      explicit Awaiter(StructuredTaskScope& scope) : ScopeWait(scope) {}
      void await_resume() { Finish(); }
    };
    co_await Awaiter(*this);
  }

  Result MakeResult() {
    constexpr bool kSeesTimeout = internal::SeesTimeout<Policy>;
    Outcome outcome = this->MakeOutcome(/*with_timeout=*/!kSeesTimeout);
    // A thread of a scope nested in this one may fork meanwhile.
    std::optional<internal::PolicyTurn> turn;
    if constexpr (internal::SeesForks<Policy> || internal::SeesCompletions<Policy>) {
      turn.emplace(this->policy_turns_, kSeesTimeout ? "OnTimeout() or Result()" : "Result()");
    }
    if constexpr (kSeesTimeout) {
      if (this->TimedOut()) this->policy.OnTimeout();
    }
    return this->policy.Result(std::move(outcome));
  }
};

using ShutdownOnFailure = StructuredTaskScope<ShutdownOnFailurePolicy>;
using AwaitAll = StructuredTaskScope<AwaitAllPolicy>;
using Supervisor = StructuredTaskScope<SupervisorPolicy>;
template <class T>
using ShutdownOnSuccess = StructuredTaskScope<ShutdownOnSuccessPolicy<T>>;
template <class T>
using AllSuccessful = StructuredTaskScope<AllSuccessfulPolicy<T>>;
template <class T, class Predicate = std::function<bool(const Subtask<T>&)>>
using AllUntil = StructuredTaskScope<AllUntilPolicy<T, Predicate>>;
template <class T>
using AsCompleted = StructuredTaskScope<AsCompletedPolicy<T>>;

// JDK 25's names.
using AwaitAllSuccessful = ShutdownOnFailure;
template <class T>
using AnySuccessful = ShutdownOnSuccess<T>;

}  // namespace weft

#endif  // WEFT_SCOPE_H_
