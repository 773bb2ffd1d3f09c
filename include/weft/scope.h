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
// A scope is a plain object in the coroutine that opens it, its owner. Fork() starts a child; Join() waits until every
// child has ended. What the scope does when a child fails or succeeds, and what Join() gives, is its policy: (policy.h)
//
//   ShutdownOnFailure      the first failure cancels the rest; gives that failure, or OK
//   ShutdownOnSuccess<T>   the first success cancels the rest; gives its value, or the first failure
//   AwaitAll               lets all run; gives the failures. Finished children are freed at once: a server's scope
//   AllSuccessful<T>       as ShutdownOnFailure; gives the values in the order of their forks
//   AllUntil<T>(predicate) lets all run until predicate(subtask) is true; gives all subtasks in the order of forks
//   AsCompleted<T>         lets all run; NextCompleted() gives the subtasks as they complete
//   Supervisor             lets all run, and reports each failure when it happens
//
// Options: a name for dumps, a limit on children that run at once, and a timeout, after which the scope is shut down:
//
//   weft::AllSuccessful<Page> scope({.max_concurrency = 8, .timeout = absl::Seconds(10)});
//
// Daemons: ForkDaemon() starts a child that serves the others. A join waits for those, and ends it.
//
// No child outlives its scope, on any path. Normally the owner joins, or closes on an early exit:
//
//   if (absl::Status s = Check(request); !s.ok()) co_return co_await scope.Close(s);
//
// If the owner is cancelled, the scope is shut down with it, and has ended before what was made before it goes. If
// the owner leaves by an exception, or returns without Close(), the destructor cancels the children and waits. A
// destructor cannot suspend: it holds its carrier, which meanwhile runs the scope's own descendants; Close() does the
// same without holding anything.
//
// Failures. A subtask fails by throwing or by returning a status that is not OK. Task<absl::StatusOr<T>> forks to
// Subtask<T>, Task<absl::Status> to Subtask<void>. A subtask that completes after the shutdown stays kUnavailable; its
// failure is still kept in Outcome::failures().
//
// Lifetimes. What a closure has captured lives until the coroutine that it has made is gone; then the child destroys it.
// Destructors run on the thread that they belong to, of captures, parameters, locals and results alike, also when it is
// cancelled: they see its id and its scoped values, and may call Shutdown() and Fork(), which starts nothing in a thread
// that is cancelled, nor in a scope that is shut, but for clean-ups that were promised (finally.h). A child that is not
// started belongs to who forks. By the time that a join returns all are gone, but for results that somebody can read
// (subtask.h).
//
// Who may call. Fork() and Shutdown(): the owner, and any virtual thread in the tree below. Join() and Close(): the
// owner. A scope cannot be copied, moved or allocated on the heap, and is closed in the reverse order of opening: what its
// owner has opened since, another scope or a ScopedBinding, is closed by then, or its children would outlive this scope. A
// join ends nothing, and may be called meanwhile: the threads of an inner scope may fork into this one, and go on.
// Misuse is a CHECK that names both sides: "Fork() by VirtualThread[#7,b]/runnable@carrier-0; the scope is owned by
// VirtualThread[#3,a]/waiting, and ...".
//
// Memory ordering, for any scope: the owner's actions before Fork() happen before the child's; all of a child's actions
// happen before Join() returns.
//
// Cancellation. Join() and Close() are checkpoints. Those who are cancelled are told why, when, from which line and by
// which way (cancel_reason.h); the handle of a subtask that was cancelled says why as well.
//
// Cost. A child is one control block, which its handle shares, and its frames; nothing else is allocated.
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
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/cancellation.h"
#include "weft/internal/completion_queue.h"
#include "weft/internal/into_task.h"
#include "weft/internal/nodiscard_task.h"
#include "weft/internal/scope_base.h"
#include "weft/outcome.h"
#include "weft/policy.h"
#include "weft/ready.h"
#include "weft/subtask.h"
#include "weft/task.h"
#include "weft/text_view.h"

namespace weft {

namespace internal {

// The part of a scope that outlives its children: they call the policy until the last has ended.
template <class Policy>
struct PolicyHolder {
  Policy policy;
  [[no_unique_address]] std::conditional_t<KeepsCompleted<Policy>, CompletionQueue, std::monostate> completions;

  CompletionQueue* completion_queue() noexcept {
    if constexpr (KeepsCompleted<Policy>) return &completions;
    return nullptr;
  }
};

// What Fork() takes, but for a copy that cannot be made.
template <class Forked>
concept TaskOrClosure = WeftAwaitable<Forked> || GivesTask<std::decay_t<Forked>&>;
// It can be moved, or else copied, into the child.
template <class Forked>
concept Keepable = IntoTask<Forked> ||
                   (!WeftAwaitable<Forked> && std::is_constructible_v<std::decay_t<Forked>, Forked&&>);

}  // namespace internal

template <ScopePolicy Policy>
class StructuredTaskScope : private internal::PolicyHolder<Policy>, public internal::ScopeBase {
  using Holder = internal::PolicyHolder<Policy>;
  using Handle = internal::HandleFor<Policy>;

  // A member that is misspelt in its parameters would be overlooked.
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

  // Starts a daemon, which a join ends when the other children have ended; whatever it yields. See
  // ScopeBase::ForkDaemon().
  template <class T>
  auto ForkDaemon(Task<T> task WEFT_LIFETIME_CAPTURE_BY(this), ForkOptions options = {}) {
    return ScopeBase::ForkDaemon(std::move(task), options);
  }
  template <class Forked>
  auto ForkDaemon(Forked&& forked, ForkOptions options = {}) {
    constexpr bool kTaskOrClosure = internal::TaskOrClosure<Forked>;
    constexpr bool kTaken = internal::Keepable<Forked>;
    static_assert(kTaskOrClosure, "ForkDaemon() takes a Task, or a closure without parameters that returns one");
    static_assert(!kTaskOrClosure || kTaken,
                  "what cannot be copied, or is awaited, is moved into the child: ForkDaemon(std::move(task))");
    if constexpr (kTaskOrClosure && kTaken) return ScopeBase::ForkDaemon(std::forward<Forked>(forked), options);
  }

  // Starts a service: calls `service`, which takes a Ready and returns a Task, in a child, and waits until that has said that
  // it is ready. If it ends before, this gives kFailedPrecondition, and its own failure is the scope's, as that of any child.
  // If this is given up, because the caller is cancelled (by a timeout around it, say), the service is cancelled with it,
  // for the same reason, and the join waits for its end. Once this has given it, the service is a child like others.
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
  // The same for a service that ends when all the other children have: as ForkDaemon().
  template <class F>
    requires internal::GivesTask<F&, Ready>
  auto StartDaemon(F service, ForkOptions options = {}) {
    return StartService(std::move(service), std::string(options.name), /*daemon=*/true);
  }
  template <class F>
  Task<void> Start(F, ForkOptions = {}) = delete;  // a service takes a weft::Ready and returns a Task
  template <class F>
  Task<void> StartDaemon(F, ForkOptions = {}) = delete;  // a service takes a weft::Ready and returns a Task

  // Waits until every child has ended, and gives what the policy makes of them. May be repeated: each round of forks has
  // its join.
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

  // As Join(), but not for longer than `timeout`. Gives a std::optional<Result>: if children are left then, it is
  // empty, and the scope goes on as before: it is not shut down. A timeout that is not positive looks, and does not
  // wait. Daemons are not waited for in this time, but afterwards, when they have been asked to end.
  internal::NodiscardTask<std::optional<Result>> JoinFor(absl::Duration timeout) {
    return internal::NodiscardTask<std::optional<Result>>(JoinWithin(timeout));
  }
  // The same, until a point of the wall clock (weft::Now()).
  internal::NodiscardTask<std::optional<Result>> JoinUntil(absl::Time deadline) {
    return JoinFor(deadline - absl::FromUnixNanos(internal::RuntimeWallNow()));
  }

  // Waits for the next subtask that completes, and gives it; those come first that have completed already. Gives nothing
  // when all that were forked have been given, or were cancelled, or there was no memory for them. The owner may look at its result before a join. For
  // scopes that keep completed subtasks: AsCompleted<T>, and others whose policy has kKeepsCompleted.
  auto NextCompleted()
    requires internal::KeepsCompleted<Policy>
  {
    return NextAwaiter(*this);
  }
  Task<void> NextCompleted()  // for AsCompleted<T>, and others whose policy has kKeepsCompleted
    requires(!internal::KeepsCompleted<Policy>)
  = delete;

  // Shuts the scope down, waits until every child has ended, and gives back `value`, for `co_return co_await scope.Close(value)`.
  // Nothing can be forked afterwards.
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
    explicit NextAwaiter(StructuredTaskScope& scope) : queue_(scope.completions) { scope.CheckOwner("NextCompleted()"); }
    bool await_ready() noexcept { return queue_.AwaitReady(); }
    template <internal::WeftPromise Promise>
    void await_suspend(std::coroutine_handle<Promise> frame, std::source_location where = std::source_location::current()) noexcept {
      queue_.Suspend({frame.promise(), where});
    }
    std::optional<Handle> await_resume() noexcept {
      internal::ChildBase* const child = queue_.Take();
      if (child == nullptr) return std::nullopt;
      return AdoptHandle<Handle>(*child);
    }

   private:
    internal::CompletionQueue& queue_;
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
    constexpr bool kTaskOrClosure = internal::TaskOrClosure<Forked>;
    constexpr bool kTaken = internal::Keepable<Forked>;
    static_assert(kTaskOrClosure, "Fork() takes a Task, or a closure without parameters that returns one");
    static_assert(!kTaskOrClosure || kTaken, "what cannot be copied, or is awaited, is moved into the child: Fork(std::move(task))");
    if constexpr (kTaskOrClosure && kTaken) {
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
    internal::ServiceCall<F> run(std::move(service), start);
    auto subtask = daemon ? this->ForkDaemon(std::move(run), {.name = name}) : Fork(std::move(run), {.name = name});
    internal::StartGuard guard(*start, ScopeBase::ChildOf(subtask));
    co_await start->decided.Wait();
    guard.Decided();
    if (!start->ready) co_return absl::FailedPreconditionError("the service has ended before it was ready");
    co_return subtask;
  }

  Task<std::optional<Result>> JoinWithin(absl::Duration timeout) {
    this->CheckOwner("JoinFor()");
    if (!this->AllEnded()) {
      // Unwound by any other request than that of its own time, this does not come back.
      const absl::Status waited = co_await WithTimeout(timeout, WaitForAll());
      if (!waited.ok() && !this->AllEnded()) co_return std::nullopt;
    }
    co_return co_await Join();
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
    std::optional<typename internal::ScopeBase::PolicyTurn> turn;
    if constexpr (internal::SeesForks<Policy> || internal::SeesCompletions<Policy>) {
      turn.emplace(*this, kSeesTimeout ? "OnTimeout() or Result()" : "Result()");
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

// The names of JDK 25.
using AwaitAllSuccessful = ShutdownOnFailure;
template <class T>
using AnySuccessful = ShutdownOnSuccess<T>;

}  // namespace weft

#endif  // WEFT_SCOPE_H_
