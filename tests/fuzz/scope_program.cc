#include "tests/fuzz/scope_program.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/internal/compiler.h"

namespace weft::testing {
namespace {

using Kind = Step::Kind;

constexpr int kMaxSteps = 40;
constexpr int kMaxDepth = 6;

constexpr std::array<absl::string_view, 23> kNames = {
    "end",       "add",          "sleep",           "yield",      "fail",   "throw",     "scope",     "fork",
    "daemon",    "join",         "join for",        "next",       "shut",   "within",    "catch",     "stop event",
    "shield",    "grace shield", "set event",       "wait event", "send",   "receive",   "requested?"};
constexpr std::array<absl::string_view, 7> kPolicies = {
    "AwaitAll", "ShutdownOnFailure", "ShutdownOnSuccess", "AllSuccessful", "AllUntil", "AsCompleted", "Supervisor"};
constexpr std::array<absl::string_view, 3> kEndings = {"join", "close", "leave"};

// The scopes around a step.
struct Around {
  int depth = 0;
  int scopes = 0;
  bool owner = false;      // of the innermost
  bool completes = false;  // the innermost has NextCompleted()
};

class Decoder {
 public:
  explicit Decoder(FuzzInput& input) : input_(input) {}

  Body TakeBody(Around around) {
    Body body;
    while (!input_.empty() && steps_ < kMaxSteps) {
      Step step = TakeStep(around);
      if (step.kind == Kind::kEnd) break;
      const bool last = step.kind == Kind::kFail || step.kind == Kind::kThrow;
      body.push_back(std::move(step));
      if (last) break;
    }
    return body;
  }

 private:
  // A step is two bytes: its kind with three flags, and a number. Its body follows.
  Step TakeStep(Around around) {
    Step step;
    const uint8_t first = input_.TakeByte();
    step.kind = static_cast<Kind>(first % 32 % kNames.size());
    if (step.kind == Kind::kEnd) return step;
    step.id = ++steps_;
    step.flag = (first & 32) != 0;
    step.closure = (first & 64) != 0;
    step.shielded = (first & 128) != 0;
    const uint8_t number = input_.TakeByte();
    step.number = number % 8;
    Restrict(step, around);
    switch (step.kind) {
      case Kind::kScope:
        step.policy = static_cast<FuzzedPolicy>(number % kPolicies.size());
        step.number = 1 + number / 7 % 2;
        step.limit = number / 14 % 3;
        step.timeout_ms = step.shielded ? 1 + number / 42 : 0;
        step.ending = static_cast<Step::Ending>(first % 3);
        step.body = TakeBody({around.depth + 1, around.scopes + 1, true, step.policy == FuzzedPolicy::kAsCompleted});
        break;
      case Kind::kFork:  // into a scope further out: it knows nothing of the inner ones
        step.body = TakeBody({around.depth + 1, around.scopes - step.number, false, false});
        break;
      case Kind::kDaemon:
        step.body = TakeBody({around.depth + 1, around.scopes, false, false});
        break;
      case Kind::kWithTimeout:
      case Kind::kCatchCancelled:
      case Kind::kStopEvent:
      case Kind::kShield:
      case Kind::kGraceShield:
        step.body = TakeBody({around.depth + 1, around.scopes, around.owner, around.completes});
        break;
      default:
        break;
    }
    return step;
  }

  // Makes it a step that is allowed where it is.
  static void Restrict(Step& step, Around around) {
    const bool of_scope = step.kind == Kind::kFork || step.kind == Kind::kShutdown;
    const bool of_owner = step.kind == Kind::kDaemon || step.kind == Kind::kJoin || step.kind == Kind::kJoinFor ||
                          step.kind == Kind::kNext;
    const bool deeper = step.kind == Kind::kScope || step.kind == Kind::kFork || step.kind == Kind::kDaemon ||
                        (step.kind >= Kind::kWithTimeout && step.kind <= Kind::kGraceShield);
    const bool of_queue = step.kind == Kind::kNext;
    if ((of_scope && around.scopes == 0) || (of_owner && !around.owner) || (of_queue && !around.completes) ||
        (deeper && around.depth >= kMaxDepth)) {
      step.kind = Kind::kAdd;
    }
    if (of_scope && around.scopes > 0) step.number %= around.scopes;
    if (step.kind == Kind::kStopEvent || step.kind == Kind::kSet || step.kind == Kind::kWait) {
      step.number %= ScopeProgram::kEvents;
    }
    if (step.kind == Kind::kSend || step.kind == Kind::kReceive) step.number %= ScopeProgram::kChannels;
    if (step.kind == Kind::kThrow && !WEFT_EXCEPTIONS) step.kind = Kind::kFail;
  }

  FuzzInput& input_;
  int steps_ = 0;
};

void Append(std::string& text, const Body& body, int indent) {
  for (const Step& step : body) {
    absl::StrAppend(&text, std::string(static_cast<size_t>(2 * indent), ' '), step.id, ": ",
                    kNames[static_cast<size_t>(step.kind)], " ", step.number);
    if (step.kind == Kind::kScope) {
      absl::StrAppend(&text, " ", kPolicies[static_cast<size_t>(step.policy)], ", limit ", step.limit, ", timeout ",
                      step.timeout_ms, " ms, then ", kEndings[static_cast<size_t>(step.ending)]);
    }
    absl::StrAppend(&text, step.flag ? ", flag" : "", step.closure ? ", closure" : "",
                    step.shielded ? ", shielded" : "", "\n");
    Append(text, step.body, indent + 1);
  }
}

// ---- What it may yield.

// True if what follows from it depends on times, or on which of two threads is first.
bool IsRace(const Step& step) {
  switch (step.kind) {
    case Kind::kShutdown:
    case Kind::kWithTimeout:
    case Kind::kCatchCancelled:
    case Kind::kStopEvent:
    case Kind::kGraceShield:
      return true;
    case Kind::kScope:
      if (step.timeout_ms != 0 || step.policy == FuzzedPolicy::kShutdownOnSuccess ||
          step.policy == FuzzedPolicy::kAllUntil) {
        return true;
      }
      break;
    default:
      break;
  }
  return std::any_of(step.body.begin(), step.body.end(), IsRace);
}

bool MustFail(const Possible& possible) { return possible.values.empty() && !possible.any_value; }
bool MayFail(const Possible& possible) { return !possible.failures.empty(); }
void Ends(Possible& possible) {
  possible.values.clear();
  possible.any_value = false;
}

void AddTo(Possible& sum, const Possible& more) {
  constexpr size_t kMost = 32;
  sum.any_value |= more.any_value;
  if (sum.any_value) return;
  std::set<int> values;
  for (const int a : sum.values) {
    for (const int b : more.values) values.insert(a + b);
  }
  sum.any_value = values.size() > kMost;
  sum.values = std::move(values);
}

// The children of a scope so far.
struct Children {
  Possible sum = {{0}, false, {}};
  std::set<int> failures;  // that there may be
  bool must_fail = false;
};

class Evaluation {
 public:
  // `certain`: it is certain that the body is run.
  Possible OfBody(const Body& body, bool certain) {
    Possible so_far = {{0}, false, {}};
    for (const Step& step : body) {
      if (step.kind == Kind::kFail || step.kind == Kind::kThrow) {
        (step.kind == Kind::kFail ? so_far.failures : so_far.throws).insert(step.id);
        Ends(so_far);
        return so_far;
      }
      Possible of_step = OfStep(step, certain);
      so_far.throws.insert(of_step.throws.begin(), of_step.throws.end());
      if (step.flag) {
        so_far.failures.insert(of_step.failures.begin(), of_step.failures.end());
      } else if (MayFail(of_step)) {
        of_step.values.insert(0);
      }
      if (MustFail(of_step)) {
        Ends(so_far);
        return so_far;
      }
      AddTo(so_far, of_step);
      certain = certain && of_step.throws.empty() && !(step.flag && MayFail(of_step));
    }
    return so_far;
  }

 private:
  Possible OfStep(const Step& step, bool certain) {
    switch (step.kind) {
      case Kind::kAdd:
        return {{step.number}, false, {}};
      case Kind::kShield:
        return OfBody(step.body, certain);
      case Kind::kScope:
        return OfScope(step);
      case Kind::kFork:
        OfChild(step, certain && step.number == 0);
        break;
      case Kind::kDaemon:
        OfChild(step, false);
        break;
      case Kind::kJoin:
        return JoinOf(*scopes_.back(), /*adds=*/false);
      case Kind::kJoinFor: {
        Possible joined = JoinOf(*scopes_.back(), /*adds=*/false);
        joined.values.insert(0);
        return joined;
      }
      default:
        break;
    }
    return {{0}, false, {}};
  }

  void OfChild(const Step& step, bool certain) {
    const size_t out = step.kind == Kind::kFork ? static_cast<size_t>(step.number) : 0;
    std::vector<Children*> around = scopes_;
    scopes_.resize(scopes_.size() - out);
    Children& scope = *scopes_.back();
    // What a child forks, it may fork or not, as far as the joins of others can tell.
    const Possible of_child = OfBody(step.body, false);
    scopes_ = std::move(around);
    scope.failures.insert(of_child.failures.begin(), of_child.failures.end());
    scope.failures.insert(of_child.throws.begin(), of_child.throws.end());
    if (step.kind == Kind::kDaemon) return;
    if (!certain) {
      scope.sum.any_value = true;
    } else if (MustFail(of_child)) {
      scope.must_fail = true;
    } else {
      AddTo(scope.sum, of_child);
    }
  }

  static Possible JoinOf(const Children& children, bool adds) {
    Possible joined = {{0}, false, children.failures};
    if (adds) {
      joined.values = children.sum.values;
      joined.any_value = children.sum.any_value;
    }
    if (children.must_fail) Ends(joined);
    return joined;
  }

  Possible OfScope(const Step& step) {
    Children children;
    scopes_.push_back(&children);
    // What is asked is what it yields if it is run.
    Possible yields = OfBody(step.body, true);
    scopes_.pop_back();
    if (step.ending != Step::Ending::kJoin || MustFail(yields)) return yields;
    const Possible joined = JoinOf(children, /*adds=*/true);
    yields.failures.insert(joined.failures.begin(), joined.failures.end());
    if (MustFail(joined)) {
      Ends(yields);
    } else {
      AddTo(yields, joined);
    }
    return yields;
  }

  std::vector<Children*> scopes_;
};

}  // namespace

ScopeProgram::ScopeProgram(FuzzInput input) {
  const uint8_t first = input.TakeByte();
  carriers = 1 + first % 3;
  seed = 1 + uint64_t{first} / 3;
  main = Decoder(input).TakeBody({});
}

std::string ScopeProgram::ToString() const {
  std::string text = absl::StrCat(carriers, " carriers, seed ", seed, "\n");
  Append(text, main, 1);
  return text;
}

std::optional<Possible> PossibleOf(const ScopeProgram& program) {
  if (std::any_of(program.main.begin(), program.main.end(), IsRace)) return std::nullopt;
  return Evaluation().OfBody(program.main, true);
}

}  // namespace weft::testing
