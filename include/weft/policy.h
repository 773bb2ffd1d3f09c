// Policies: what a scope does when its subtasks end, and what its Join() returns. Each name is a scope with that
// policy:
//
//   ShutdownOnFailure      the first failure cancels the rest; returns that failure, or OK
//   ShutdownOnSuccess<T>   the first success cancels the rest; returns its value, or the first failure
//   AwaitAll               lets all run; returns the failures. Finished children are freed at once: a server's scope
//   AllSuccessful<T>       like ShutdownOnFailure; returns the values in the order of their forks
//   AllUntil<T, P>         lets all run until p(subtask) is true; returns all subtasks in the order of their forks
//   AsCompleted<T>         lets all run; NextCompleted() returns the subtasks as they complete
//   Supervisor             lets all run, and reports each failure when it happens
//   AnySuccessful<T>, AwaitAllSuccessful   JDK 25's names for ShutdownOnSuccess<T> and ShutdownOnFailure
//
// A policy is a class. Each scope has an object of that class, which can keep what it needs. This policy cancels the
// rest when three subtasks have succeeded, and returns their values:
//
//   class FirstThree {
//    public:
//     using Value = Quote;                                  // every subtask yields a Quote; without it, any type
//     bool OnComplete(const weft::Subtask<Quote>& subtask) {
//       if (subtask.state() == weft::Subtask<Quote>::State::kSuccess) quotes_.push_back(*subtask);
//       return quotes_.size() == 3;                         // true: shut the scope down
//     }
//     std::vector<Quote> Result(const weft::Outcome&) { return quotes_; }   // of each join: there may be several
//
//    private:
//     std::vector<Quote> quotes_;
//   };
//   weft::StructuredTaskScope<FirstThree> scope;
//
// A policy must have Result(), and may have the other members. A handle is a Subtask<Value>, or an AnySubtask if there
// is no Value; the policy may keep it. A member with one of these names and other parameters does not compile.
//
//   R Result(Outcome outcome)        called by the owner after each join: what Join() returns. The outcome has the
//                                    failures
//   void OnFork(handle)              called by the thread that forks, before the child starts, also when the scope is
//                                    shut and the child will never start. If it throws, Fork() throws the same, and
//                                    starts nothing
//   bool OnComplete(handle)          called when a subtask has succeeded or failed before the scope was shut down. It
//                                    can read the result. True shuts the scope down. If it throws, the exception goes
//                                    to RuntimeOptions::on_uncaught_failure, and the scope goes on
//   void OnTimeout()                 called by the owner before Result(), if the scope's own timeout has shut it down.
//                                    Without this member, the outcome begins with that failure, kDeadlineExceeded
//   static constexpr bool kShutdownOnFailure = true      any failure shuts the scope down
//   static constexpr bool kKeepsCompleted = true         the scope has NextCompleted(), and keeps subtasks for it
//
// Threads. The calls to one policy object come one after another, and each happens after the one before: a policy needs
// no atomics and no lock. OnComplete() runs on the subtask's virtual thread, at its end; if there was no memory for the
// subtask, on the thread that forks. The scope makes the calls under a lock. So no call may wait or fork into the
// scope, nor may the destructor of an object that it lets go of; such a Fork() is a CHECK.
//
// Cost: without OnFork() and OnComplete(), a fork and the end of a child take no lock.
//
// (JEP 453, handleComplete; JEP 505 and 525, Joiner.)
#ifndef WEFT_POLICY_H_
#define WEFT_POLICY_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/internal/status_traits.h"
#include "weft/outcome.h"
#include "weft/subtask.h"
#include "weft/text_view.h"

namespace weft {

namespace internal {

// Passes a failure to the runtime's on_uncaught_failure: an exception of OnComplete(), or a failure that a Supervisor
// has no report function for. (outcome.cc)
void ReportUncaught(const char* where, const absl::Status& status, const std::exception_ptr& exception) noexcept;

// The outcome of a join whose value was moved out of the subtask before. (outcome.cc)
Outcome TakenOutcome(uint64_t thread);

// Takes those that have ended, in their order. One that a thread of a scope inside has forked since the join's last
// look stays for the next join.
template <class T>
std::vector<Subtask<T>> TakeEnded(std::vector<Subtask<T>>& subtasks) {
  std::vector<Subtask<T>> ended;
  ended.reserve(subtasks.size());
  std::vector<Subtask<T>> given = std::exchange(subtasks, {});
  for (Subtask<T>& each : given) (HasEndedForOwner(each) ? ended : subtasks).push_back(std::move(each));
  return ended;
}

}  // namespace internal

// The classes that are policies.
template <class Policy>
concept ScopePolicy = std::is_class_v<Policy> && requires(Policy& policy, Outcome outcome) {
  policy.Result(std::move(outcome));
};

struct AwaitAllPolicy {
  Outcome Result(Outcome outcome) { return outcome; }
};

struct ShutdownOnFailurePolicy {
  static constexpr bool kShutdownOnFailure = true;
  Outcome Result(Outcome outcome) { return outcome; }
};

// Each join after the success returns the value. If T can be copied, each join copies it: let the subtasks return a
// std::shared_ptr if that is too expensive. If T cannot be copied, the first join moves the value out, and later joins
// fail: kFailedPrecondition, "the value was taken".
template <class T>
class ShutdownOnSuccessPolicy {
  static_assert(!std::is_void_v<T>, "ShutdownOnSuccess<void> has no result to return; use a scope with another policy");

 public:
  using Value = T;
  bool OnComplete(const Subtask<T>& subtask) {
    if (subtask.state() != Subtask<T>::State::kSuccess) return false;
    winner_ = subtask;
    return true;
  }
  ValueOutcome<T> Result(Outcome outcome) {
    if (winner_.has_value()) return Winner(*winner_);
    if (!outcome.ok()) return ValueOutcome<T>(std::move(outcome));
    return ValueOutcome<T>(Outcome({Failure{0, absl::NotFoundError("no subtask completed")}}, 0));
  }

 private:
  static ValueOutcome<T> Winner(Subtask<T> winner) {
    if (winner.taken()) return ValueOutcome<T>(internal::TakenOutcome(winner.thread_id()));
    if constexpr (internal::CanBeCopied<internal::Kept<T>>::value) {
      // T says that it can be copied. If that does not compile, delete its copy constructor.
      return ValueOutcome<T>(winner.get());
    } else {
      return ValueOutcome<T>(std::move(winner).get());
    }
  }

  std::optional<Subtask<T>> winner_;
};

template <class T>
class AllSuccessfulPolicy {
  static_assert(!std::is_void_v<T>,
                "AllSuccessful<T> returns a vector of values; use ShutdownOnFailure where there are none");

 public:
  using Value = T;
  static constexpr bool kShutdownOnFailure = true;

  void OnFork(Subtask<T> subtask) { subtasks_.push_back(std::move(subtask)); }
  // Returns the values of the subtasks forked since the join before, moved out of them.
  ValueOutcome<std::vector<internal::Kept<T>>> Result(Outcome outcome) {
    using Values = ValueOutcome<std::vector<internal::Kept<T>>>;
    std::vector<Subtask<T>> subtasks = internal::TakeEnded(subtasks_);
    if (!outcome.ok()) return Values(std::move(outcome));
    std::vector<internal::Kept<T>> values;
    values.reserve(subtasks.size());
    for (Subtask<T>& subtask : subtasks) {
      if (subtask.state() != Subtask<T>::State::kSuccess) {
        return Values(Outcome({Failure{subtask.thread_id(), absl::CancelledError("a subtask was cancelled")}}, 0));
      }
      if (subtask.taken()) return Values(internal::TakenOutcome(subtask.thread_id()));
      values.push_back(std::move(subtask).get());
    }
    return Values(std::move(values));
  }

 private:
  std::vector<Subtask<T>> subtasks_;
};

template <class T, class Predicate = std::function<bool(const Subtask<T>&)>>
class AllUntilPolicy {
 public:
  using Value = T;
  // Implicit: `AllUntil<int> scope([](const Subtask<int>& subtask) { ... });`
  template <class P>
    requires std::is_constructible_v<Predicate, P&&> && (!std::is_same_v<std::remove_cvref_t<P>, AllUntilPolicy>)
  AllUntilPolicy(P&& predicate) : predicate_(std::forward<P>(predicate)) {}
  template <class P>
    requires(!std::is_constructible_v<Predicate, P&&> && !std::is_same_v<std::remove_cvref_t<P>, AllUntilPolicy>)
  AllUntilPolicy(P&&) = delete;  // the predicate takes a const Subtask<T>& and returns a bool

  void OnFork(Subtask<T> subtask) { subtasks_.push_back(std::move(subtask)); }
  bool OnComplete(const Subtask<T>& subtask) { return predicate_(subtask); }
  void OnTimeout() {}  // Result() returns what there is
  // Returns the subtasks forked since the join before. Those that had not completed at the shutdown are kUnavailable.
  std::vector<Subtask<T>> Result(const Outcome&) { return internal::TakeEnded(subtasks_); }

 private:
  Predicate predicate_;
  std::vector<Subtask<T>> subtasks_;
};

template <class T>
struct AsCompletedPolicy {
  using Value = T;
  static constexpr bool kKeepsCompleted = true;
  Outcome Result(Outcome outcome) { return outcome; }
};

// Reports each failure when it happens: to the function that it is made with, or to the runtime's on_uncaught_failure.
// The function must keep to the rules for OnComplete().
class SupervisorPolicy {
 public:
  using Report = std::function<void(const AnySubtask&)>;
  SupervisorPolicy() = default;
  // Implicit: `Supervisor scope([](const AnySubtask& failed) { ... });`
  template <class R>
    requires std::is_constructible_v<Report, R&&> && (!std::is_same_v<std::remove_cvref_t<R>, SupervisorPolicy>)
  SupervisorPolicy(R&& report) : report_(std::forward<R>(report)) {}
  template <class R>
    requires(!std::is_constructible_v<Report, R&&> && !std::is_convertible_v<R&&, TextView> &&
             !std::is_same_v<std::remove_cvref_t<R>, SupervisorPolicy>)
  SupervisorPolicy(R&&) = delete;  // the report takes a const AnySubtask&

  bool OnComplete(const AnySubtask& subtask) {
    if (subtask.state() != AnySubtask::State::kFailed) return false;
    if (report_) {
      report_(subtask);
    } else {
      internal::ReportUncaught("a subtask of a Supervisor failed", subtask.status(), subtask.exception());
    }
    return false;
  }
  Outcome Result(Outcome outcome) { return outcome; }

 private:
  Report report_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

template <class Policy>
struct PolicyHandle {
  using Type = AnySubtask;
};
template <class Policy>
  requires requires { typename Policy::Value; }
struct PolicyHandle<Policy> {
  using Type = Subtask<typename Policy::Value>;
};
template <class Policy>
using HandleFor = typename PolicyHandle<Policy>::Type;

template <class Policy>
concept SeesForks = requires(Policy& policy, HandleFor<Policy> subtask) { policy.OnFork(subtask); };
template <class Policy>
concept SeesCompletions = requires(Policy& policy, const HandleFor<Policy>& subtask) {
  { policy.OnComplete(subtask) } -> std::same_as<bool>;
};
template <class Policy>
concept SeesTimeout = requires(Policy& policy) { policy.OnTimeout(); };

template <class Policy>
concept KeepsCompleted = requires { requires Policy::kKeepsCompleted; };

template <class Policy>
constexpr bool ShutsDownOnFailure() {
  if constexpr (requires { Policy::kShutdownOnFailure; }) return Policy::kShutdownOnFailure;
  return false;
}

}  // namespace internal
}  // namespace weft

#endif  // WEFT_POLICY_H_
