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
// A scope is a plain object in the coroutine that opens it, its owner. Fork() starts a child; Join() waits until every child has
// ended. What the scope does when a child fails or succeeds is its policy:
//
//   ShutdownOnFailure     the first failure cancels the rest; Join() gives that failure, or OK
//   ShutdownOnSuccess<T>  the first success cancels the rest; Join() gives its value, or the first failure
//   AwaitAll              lets all run; Join() gives the failures. Finished children are freed at once: a server's scope
//
// No child outlives its scope, on any path. Normally the owner joins, or closes on an early exit:
//
//   if (absl::Status s = Check(request); !s.ok()) co_return co_await scope.Close(s);
//
// If the owner is cancelled, the scope is shut down with it and drained before a frame of the owner is destroyed. If the owner
// leaves by an exception, or returns without Close(), the destructor cancels the children and waits. A destructor cannot suspend:
// it holds its carrier, which meanwhile runs the scope's own descendants; Close() does the same without holding anything.
//
// Failures. A subtask fails by throwing or by returning a status that is not OK. Task<absl::StatusOr<T>> forks to Subtask<T>,
// Task<absl::Status> to Subtask<void>. A subtask that completes after the shutdown stays kUnavailable; its failure is still kept in
// Outcome::failures().
//
// Who may call. Fork() and Shutdown(): the owner, and any virtual thread in the tree below. Join() and Close(): the owner. A scope
// cannot be copied, moved or allocated on the heap, and is closed in the reverse order of opening. Misuse is a CHECK that names both
// sides: "Fork() by VirtualThread[#7,b]/runnable@carrier-0; the scope is owned by VirtualThread[#3,a]/waiting, and ...".
//
// Memory ordering, for any scope: the owner's actions before Fork() happen before the child's; all of a child's actions happen before
// Join() returns.
//
// Cancellation. Join() and Close() are checkpoints. A join that is cancelled counts as attempted.
// Cost. A child is one control block, which its handle shares, and its frames; nothing else is allocated.
#ifndef WEFT_SCOPE_H_
#define WEFT_SCOPE_H_

#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/scope_base.h"
#include "weft/outcome.h"
#include "weft/subtask.h"

namespace weft {

// What a policy is: the rules by which a completed subtask shuts the scope down, and what Join() makes of it all.
struct ShutdownOnFailurePolicy {
  using Result = Outcome;
  static constexpr internal::PolicyRules kRules = {.shut_down_on_failure = true};
};
struct AwaitAllPolicy {
  using Result = Outcome;
  static constexpr internal::PolicyRules kRules = {};
};
template <class T>
struct ShutdownOnSuccessPolicy {
  using Result = ValueOutcome<T>;
  static constexpr internal::PolicyRules kRules = {.shut_down_on_success = true};
};

template <class Policy>
class StructuredTaskScope : public internal::ScopeBase {
 public:
  using Result = typename Policy::Result;

  // Opens a scope on the current virtual thread. `name` is for dumps. Opened by a cancelled thread, it is shut down from the start.
  explicit StructuredTaskScope(std::string name = {}) : ScopeBase(Policy::kRules, std::move(name)) {}

  // Waits until every child has ended, and gives what the policy makes of them. May be repeated: each round of forks has its join.
  // The value of a ShutdownOnSuccess is moved out by the first join after the success.
  auto Join() {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait {
      explicit Awaiter(StructuredTaskScope& scope) : ScopeWait(scope, Purpose::kJoin), scope(scope) {}
      Result await_resume() {
        Finish();
        return scope.MakeResult();
      }
      StructuredTaskScope& scope;
    };
    return Awaiter(*this);
  }

  // Shuts the scope down, waits until every child has ended, and gives back `value`, for `co_return co_await scope.Close(value)`.
  // Nothing can be forked afterwards.
  template <class V>
  auto Close(V value) {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait {
      Awaiter(StructuredTaskScope& scope, V&& kept) : ScopeWait(scope, Purpose::kClose), value(std::move(kept)) {}
      V await_resume() {
        Finish();
        return std::move(value);
      }
      V value;
    };
    return Awaiter(*this, std::move(value));
  }
  auto Close() {
    struct [[nodiscard("co_await it")]] Awaiter final : ScopeWait {
      explicit Awaiter(StructuredTaskScope& scope) : ScopeWait(scope, Purpose::kClose) {}
      void await_resume() { Finish(); }
    };
    return Awaiter(*this);
  }

 private:
  using ScopeWait = internal::ScopeWait;

  Result MakeResult() {
    if constexpr (std::is_same_v<Result, Outcome>) {
      return this->MakeOutcome();
    } else {
      using T = std::remove_cvref_t<decltype(std::declval<Result>().value())>;
      if (internal::ChildBase* winner = this->first_success()) {
        return Result(std::move(*static_cast<internal::ChildOf<T>*>(winner)->value()));
      }
      Outcome failed = this->MakeOutcome();
      if (!failed.ok()) return Result(std::move(failed));
      return Result(Outcome({Failure{0, absl::NotFoundError("no subtask completed")}}, 0));
    }
  }
};

using ShutdownOnFailure = StructuredTaskScope<ShutdownOnFailurePolicy>;
using AwaitAll = StructuredTaskScope<AwaitAllPolicy>;

// Every subtask of a ShutdownOnSuccess<T> yields T.
template <class T>
class ShutdownOnSuccess : public StructuredTaskScope<ShutdownOnSuccessPolicy<T>> {
  static_assert(!std::is_void_v<T>, "ShutdownOnSuccess<void> has no result to give; use a scope of another policy");
  using Base = StructuredTaskScope<ShutdownOnSuccessPolicy<T>>;

 public:
  using Base::Base;

  template <class Forked>
  Subtask<T> Fork(Forked&& forked, ForkOptions options = {}) {
    static_assert(std::is_same_v<decltype(Base::Fork(std::forward<Forked>(forked), options)), Subtask<T>>,
                  "every subtask of a ShutdownOnSuccess<T> yields T");
    return Base::Fork(std::forward<Forked>(forked), options);
  }
};

}  // namespace weft

#endif  // WEFT_SCOPE_H_
