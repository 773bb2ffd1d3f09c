// What a policy's hook, and the destructor of what it lets go of, may do with its scope. Goal: a fork, which would wait
// for the lock that the hook is called under, is a CHECK that names both; what needs no such lock works. Method: a
// policy that makes a call in one of its places, each place with each call, in a simulation of one carrier.
#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "weft/internal/scope_base.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/subtask.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft {
namespace {

// Of a scope, whatever its policy.
using Scope = internal::ScopeBase;

struct Call {
  const char* name;
  void (*make)(Scope& scope);
  friend std::ostream& operator<<(std::ostream& out, const Call& call) { return out << call.name; }
};

enum class At { kOnFork, kOnComplete, kOnTimeout, kResult, kDropInOnFork, kDropInOnComplete, kDropInResult };

// A place in which user code runs while the policy is called.
struct Place {
  const char* name;
  At at;
  const char* hook;  // as the CHECK names it
  friend std::ostream& operator<<(std::ostream& out, const Place& place) { return out << place.name; }
};

constexpr const char* kResultHook = "OnTimeout\\(\\) or Result\\(\\)";
constexpr Place kOwnersPlaces[] = {
    {"OnFork", At::kOnFork, "OnFork\\(\\)"},
    {"OnTimeout", At::kOnTimeout, kResultHook},
    {"Result", At::kResult, kResultHook},
    {"DropInOnFork", At::kDropInOnFork, "OnFork\\(\\)"},
    {"DropInResult", At::kDropInResult, kResultHook},
};
constexpr Place kSubtasksPlaces[] = {
    {"OnComplete", At::kOnComplete, "OnComplete\\(\\)"},
    {"DropInOnComplete", At::kDropInOnComplete, "OnComplete\\(\\)"},
};

// Makes the call, once.
class Script {
 public:
  Script(At at, const Call& call) : at_(at), call_(call) {}
  void Arm(Scope& scope) { scope_ = &scope; }
  void IsAt(At at) {
    if (Means(at) && scope_ != nullptr) call_.make(*std::exchange(scope_, nullptr));
  }
  bool Means(At at) const { return at == at_; }
  bool made() const { return scope_ == nullptr; }

 private:
  const At at_;
  const Call& call_;
  Scope* scope_ = nullptr;
};

// A result that says when it is destroyed.
class Given {
 public:
  explicit Given(Script* script = nullptr) : script_(script) {}
  Given(Given&& other) noexcept : script_(std::exchange(other.script_, nullptr)) {}
  ~Given() {
    if (script_ != nullptr && dropped_in.has_value()) script_->IsAt(*dropped_in);
  }
  static inline std::optional<At> dropped_in;

 private:
  Script* script_;
};

Task<Given> Give(Script* script = nullptr) { co_return Given(script); }

class Policy {
 public:
  using Value = Given;
  explicit Policy(Script& script) : script_(&script) {}

  void OnFork(const Subtask<Given>&) {
    script_->IsAt(At::kOnFork);
    LetGo(At::kDropInOnFork);
  }
  bool OnComplete(const Subtask<Given>& subtask) {
    script_->IsAt(At::kOnComplete);
    LetGo(At::kDropInOnComplete);
    kept_ = subtask;
    return false;
  }
  void OnTimeout() { script_->IsAt(At::kOnTimeout); }
  int Result(const Outcome&) {
    script_->IsAt(At::kResult);
    LetGo(At::kDropInResult);
    return 0;
  }

 private:
  // Of a subtask that nobody else has a handle to.
  void LetGo(At at) {
    if (!script_->Means(at)) return;
    Given::dropped_in = at;
    kept_.reset();
    Given::dropped_in.reset();
  }
  Script* script_;
  std::optional<Subtask<Given>> kept_;
};

constexpr Call kForks[] = {
    {"ForkOfATask", [](Scope& scope) { scope.Fork(Give()); }},
    {"ForkOfAClosure", [](Scope& scope) { scope.Fork([] { return Give(); }); }},
    {"ForkWithAName", [](Scope& scope) { scope.Fork(Give(), {.name = "late"}); }},
    {"ForkOfADaemon", [](Scope& scope) { scope.ForkDaemon(Give()); }},
};
constexpr Call kOthers[] = {
    {"Shutdown", [](Scope& scope) { scope.Shutdown(); }},
    {"IsShutdown", [](Scope& scope) { static_cast<void>(scope.IsShutdown()); }},
};

// One subtask completes, so that there is something to let go of; then one more is forked and joined, in time or not.
Task<void> Run(Script& script, bool times_out) {
  StructuredTaskScope<Policy> scope(Policy(script),
                                    {.timeout = times_out ? absl::Milliseconds(1) : absl::InfiniteDuration()});
  {
    const Subtask<Given> first = scope.Fork(Give(&script));
    while (first.state() != Subtask<Given>::State::kSuccess) co_await Yield();
  }
  script.Arm(scope);
  scope.Fork(Give(&script));
  if (times_out) co_await Sleep(absl::Milliseconds(5));
  static_cast<void>(co_await scope.Join());
  EXPECT_TRUE(script.made());
}

void Simulate(const Place& place, const Call& call) {
  Script script(place.at, call);
  testing::Simulation simulation;
  simulation.Run(Run(script, place.at == At::kOnTimeout));
}

using Param = std::tuple<Place, Call>;
std::string NameOf(const ::testing::TestParamInfo<Param>& info) {
  return absl::StrCat(std::get<1>(info.param).name, "In", std::get<0>(info.param).name);
}

class PolicyHookDeathTest : public ::testing::TestWithParam<Param> {};
INSTANTIATE_TEST_SUITE_P(Owners, PolicyHookDeathTest,
                         ::testing::Combine(::testing::ValuesIn(kOwnersPlaces), ::testing::ValuesIn(kForks)), &NameOf);
INSTANTIATE_TEST_SUITE_P(Subtasks, PolicyHookDeathTest,
                         ::testing::Combine(::testing::ValuesIn(kSubtasksPlaces), ::testing::ValuesIn(kForks)),
                         &NameOf);

TEST_P(PolicyHookDeathTest, AForkIsRefused) {
  const auto& [place, call] = GetParam();
  EXPECT_DEATH(Simulate(place, call), absl::StrCat("Fork\\(\\) by .* during ", place.hook,
                                                   " of the scope's policy; neither a policy's hook nor a destructor"));
}

class PolicyHookTest : public ::testing::TestWithParam<Param> {};
INSTANTIATE_TEST_SUITE_P(Owners, PolicyHookTest,
                         ::testing::Combine(::testing::ValuesIn(kOwnersPlaces), ::testing::ValuesIn(kOthers)), &NameOf);

TEST_P(PolicyHookTest, WhatNeedsNoTurnOfThePolicyWorks) {
  const auto& [place, call] = GetParam();
  Simulate(place, call);
}

}  // namespace
}  // namespace weft
