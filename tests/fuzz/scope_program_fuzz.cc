// Programs of scopes (scope_program.h) in a simulation, against what has to hold of each in any order of its threads:
//
//   * a join, a Close() and the end of a scope find every child ended, and its locals, captures and results destroyed;
//   * a join returns what the policy says of the children that had ended, in their order, before the scope was shut;
//   * a body is unwound only if something that may end it surrounds it: never in a Shield();
//   * a timeout is never early, and its status says that it was one;
//   * the program yields what it may by its sequential meaning, and leaves nothing.
//
// An input: a byte for the carriers and the seed, and the steps.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scope_program.h"
#include "tests/support/counted.h"
#include "weft/cancel_reason.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/internal/check.h"
#include "weft/outcome.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/stop_event.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

using Kind = Step::Kind;
using Result = absl::StatusOr<Counted>;
using State = Subtask<Counted>::State;

constexpr absl::Duration kPatience = absl::Milliseconds(3);  // of a wait for another thread
constexpr absl::string_view kFailure = "step ";

struct World {
  explicit World(Simulation& of) : simulation(of) {}

  Simulation& simulation;
  Event events[ScopeProgram::kEvents];
  Channel<Counted> channels[ScopeProgram::kChannels] = {Channel<Counted>(0), Channel<Counted>(1),
                                                        Channel<Counted>(kUnbounded)};
};

class OpenScope;

// What surrounds a body.
struct Place {
  World* world;
  OpenScope* scope = nullptr;  // the innermost, of this thread or of one above
  bool owner = false;          // this thread's
  // What may end the body: a boundary of its thread, or a request to its thread, which is a child of this scope. A
  // shield hides both.
  bool in_boundary = false;
  const OpenScope* forked_in = nullptr;
  bool daemon = false;
};

bool MayBeEnded(const Place& place);

// What became of a fork.
struct Child {
  const Step& step;
  OpenScope& scope;
  bool dropped = false;  // forked by a thread that was asked to end
  bool begun = false;
  bool gone = false;  // its frames are
  std::optional<int> value = std::nullopt;
  std::optional<absl::Status> failure = std::nullopt;
  bool counts = false;  // it ended before the scope was shut
  std::optional<Subtask<Counted>> handle = std::nullopt;

  bool ended() const { return begun == gone; }
  bool completed() const { return value.has_value() || failure.has_value(); }
  bool daemon() const { return step.kind == Kind::kDaemon; }
};

// A scope that is open, and what is known of it.
class OpenScope {
 public:
  OpenScope(const Step& step, const Place& around) : step_(step), around_(around) {}
  OpenScope(const OpenScope&) = delete;
  OpenScope& operator=(const OpenScope&) = delete;
  // The scope itself has been destroyed.
  virtual ~OpenScope() { CheckAllEnded(); }

  // ---- The steps of threads below.
  virtual void Fork(const Step& step, const Place& place) = 0;
  virtual void ForkDaemon(const Step& step, const Place& place) = 0;
  virtual void Shutdown() = 0;
  virtual Task<absl::Status> Join() = 0;
  virtual Task<absl::Status> JoinFor(absl::Duration timeout) = 0;
  virtual Task<void> Next() = 0;
  virtual Task<void> Close() = 0;

  // ---- What happens to its children.
  void Begin(Child& child) {
    child.begun = true;
    if (child.daemon()) return;
    ++running_;
    WEFT_CHECK(step_.limit == 0 || MayBeShut() || running_ <= step_.limit)
        << running_ << " children run at once in the scope of step " << step_.id;
  }
  void Succeed(Child& child, int value) {
    child.value = value;
    child.counts = !shut_;
    if (!child.daemon()) completed_.push_back(&child);
    if (shut_ || child.daemon()) return;
    if (winner_ == nullptr) winner_ = &child;
    const bool enough = step_.policy == FuzzedPolicy::kShutdownOnSuccess ||
                        (step_.policy == FuzzedPolicy::kAllUntil && ++decided_ >= step_.number);
    if (enough) shut_ = true;
  }
  void Fail(Child& child, absl::Status why) {
    child.failure = std::move(why);
    child.counts = !shut_;
    failed_.push_back(&child);
    if (!child.daemon()) completed_.push_back(&child);
    if (shut_) return;
    const bool enough = step_.policy == FuzzedPolicy::kShutdownOnFailure ||
                        step_.policy == FuzzedPolicy::kAllSuccessful ||
                        (step_.policy == FuzzedPolicy::kAllUntil && !child.daemon() && ++decided_ >= step_.number);
    if (enough) shut_ = true;
  }
  void Leave(Child& child) {
    child.gone = true;
    if (!child.daemon()) --running_;
  }

  // It is shut, or may be, for all that is known.
  bool MayBeShut() const { return shut_ || step_.timeout_ms != 0 || MayBeEnded(around_); }
  OpenScope* outer() const { return around_.scope; }
  int sum() const {
    int sum = 0;
    for (const Child& child : children_) {
      if (!child.daemon() && child.counts) sum += child.value.value_or(0);
    }
    return sum;
  }
  const Child* winner() const { return winner_; }

 protected:
  Child& Add(const Step& step) {
    children_.push_back(Child{.step = step, .scope = *this, .dropped = CancelRequested()});
    return children_.back();
  }
  void NoteShut() { shut_ = true; }
  bool timed() const { return step_.timeout_ms != 0; }

  void CheckAllEnded() const {
    for (const Child& child : children_) {
      WEFT_CHECK(child.ended()) << "the scope of step " << step_.id << " has been left by step " << child.step.id;
    }
  }

  // After a join that came back.
  void CheckChildren() const {
    CheckAllEnded();
    for (const Child& child : children_) {
      const bool excused = child.daemon() || (!child.step.shielded && (child.dropped || MayBeShut()));
      WEFT_CHECK(child.completed() || excused)
          << "step " << child.step.id << " has not come to its end";
      if (!child.handle.has_value()) continue;
      const State state = child.handle->state();
      const State expected = !child.completed() || !child.counts ? State::kUnavailable
                             : child.value.has_value()           ? State::kSuccess
                                                                 : State::kFailed;
      WEFT_CHECK(state == expected || (state == State::kUnavailable && MayBeShut()))
          << "step " << child.step.id << " is " << static_cast<int>(state);
      if (state == State::kFailed) WEFT_CHECK(child.handle->status() == *child.failure) << child.handle->status();
      if (state == State::kSuccess && !child.handle->taken()) {
        WEFT_CHECK((*child.handle)->value() == *child.value) << "of step " << child.step.id;
      }
    }
  }
  // All failures, in the order in which they came.
  void CheckFailures(const std::vector<Failure>& failures, std::optional<uint64_t> count) const {
    const bool timed_out = !failures.empty() && failures.front().thread == 0;
    if (timed_out) {
      WEFT_CHECK(timed() && ReasonOf(failures.front().status).kind == CancelReason::Kind::kTimeout)
          << failures.front().status;
    }
    const size_t first = timed_out ? 1 : 0;
    WEFT_CHECK(failures.size() - first == failed_.size()) << failures.size() << ", not " << failed_.size();
    WEFT_CHECK(!count.has_value() || *count == failures.size()) << *count;
    for (size_t i = first; i < failures.size(); ++i) {
      WEFT_CHECK(failures[i].status == *failed_[i - first]->failure)
          << failures[i].status << ", not " << *failed_[i - first]->failure;
    }
  }
  absl::Status Check(const Outcome& outcome) const {
    CheckChildren();
    CheckFailures(outcome.failures(), outcome.failure_count());
    return outcome;
  }
  absl::Status Check(ValueOutcome<Counted> outcome) const {
    CheckChildren();
    if (!outcome.ok()) {
      WEFT_CHECK(winner_ == nullptr || MayBeShut()) << "step " << winner_->step.id << " has not won";
      if (outcome.status().code() != absl::StatusCode::kNotFound) CheckFailures(outcome.failures(), std::nullopt);
      return outcome.status();
    }
    const int value = std::move(outcome).value().value();
    WEFT_CHECK(winner_ != nullptr && *winner_->value == value) << value;
    return absl::OkStatus();
  }
  // The values of the round.
  absl::Status Check(ValueOutcome<std::vector<Counted>> outcome) {
    CheckChildren();
    const std::vector<const Child*> round = TakeRound();
    if (!outcome.ok()) {
      if (outcome.status().code() != absl::StatusCode::kCancelled || !failed_.empty()) {
        CheckFailures(outcome.failures(), std::nullopt);
      } else {
        const bool all = std::all_of(round.begin(), round.end(), [](const Child* each) { return each->completed(); });
        WEFT_CHECK(!all || MayBeShut()) << outcome.status();
      }
      return outcome.status();
    }
    const std::vector<Counted> values = std::move(outcome).value();
    WEFT_CHECK(values.size() == round.size()) << values.size() << " values of " << round.size();
    for (size_t i = 0; i < values.size(); ++i) {
      WEFT_CHECK(round[i]->value == values[i].value()) << "value " << i << " is " << values[i].value();
    }
    return absl::OkStatus();
  }
  absl::Status Check(std::vector<Subtask<Counted>> subtasks) {
    CheckChildren();
    const std::vector<const Child*> round = TakeRound();
    WEFT_CHECK(subtasks.size() == round.size()) << subtasks.size() << " subtasks of " << round.size();
    for (size_t i = 0; i < subtasks.size(); ++i) {
      const State state = subtasks[i].state();
      if (state == State::kUnavailable) continue;
      WEFT_CHECK(round[i]->counts) << "step " << round[i]->step.id;
      if (state == State::kSuccess) WEFT_CHECK(subtasks[i]->value() == round[i]->value) << subtasks[i]->value();
    }
    return absl::OkStatus();
  }
  // The next of those that completed, and count.
  void CheckNext(const std::optional<Subtask<Counted>>& got) {
    while (next_ < completed_.size() && !completed_[next_]->counts) ++next_;
    if (!got.has_value()) {
      WEFT_CHECK(next_ == completed_.size() || MayBeShut()) << "step " << completed_[next_]->step.id << " is missing";
      return;
    }
    WEFT_CHECK(next_ < completed_.size()) << "one that has not completed";
    const Child& child = *completed_[next_++];
    if (MayBeShut()) return;
    const State expected = child.value.has_value() ? State::kSuccess : State::kFailed;
    WEFT_CHECK(got->state() == expected) << "step " << child.step.id;
    if (child.value.has_value()) WEFT_CHECK((*got)->value() == *child.value) << "not step " << child.step.id;
  }
  void CheckReports(int reports) const {
    const auto count = std::count_if(failed_.begin(), failed_.end(), [](const Child* each) { return each->counts; });
    WEFT_CHECK(reports == count || (reports < count && MayBeShut())) << reports << " reports of " << count;
  }
  // A child is left.
  void CheckLeft() const {
    const bool all = std::all_of(children_.begin(), children_.end(),
                                 [](const Child& child) { return child.gone || child.daemon(); });
    WEFT_CHECK(!all || children_.empty() || MayBeShut()) << "nobody is left in the scope of step " << step_.id;
  }

 private:
  std::vector<const Child*> TakeRound() {
    std::vector<const Child*> round;
    for (const Child& child : children_) {
      if (!child.daemon()) round.push_back(&child);
    }
    round.erase(round.begin(), round.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ += round.size();
    return round;
  }

  const Step& step_;
  const Place around_;
  std::deque<Child> children_;  // in the order of their forks
  std::vector<const Child*> completed_;  // in the order of their ends
  std::vector<const Child*> failed_;
  const Child* winner_ = nullptr;  // the first to succeed before it was shut
  size_t taken_ = 0;
  size_t next_ = 0;
  int running_ = 0;
  int decided_ = 0;
  bool shut_ = false;  // surely
};

bool MayBeEnded(const Place& place) {
  return place.in_boundary || place.daemon || (place.forked_in != nullptr && place.forked_in->MayBeShut());
}

// ---- Running a program.

Task<Result> RunBody(const Body& body, Place place);

// A child, whatever becomes of it.
Task<Result> RunChild(Child& child, Place place) {
  struct Life {
    ~Life() {
      child.scope.Leave(child);
      WEFT_CHECK(child.completed() || MayBeEnded(place)) << "step " << child.step.id << " was unwound";
    }
    Child& child;
    const Place place;
  };
  child.scope.Begin(child);
  const Life life{child, place};
#if WEFT_EXCEPTIONS
  try {
#endif
    Result result = co_await RunBody(child.step.body, place);
    if (result.ok()) {
      child.scope.Succeed(child, result->value());
    } else {
      child.scope.Fail(child, result.status());
    }
    co_return result;
#if WEFT_EXCEPTIONS
  } catch (...) {
    child.scope.Fail(child, ExceptionToStatus(std::current_exception()));
    throw;
  }
#endif
}

// A scope of one policy.
template <class Scope>
class OpenScopeOf final : public OpenScope {
 public:
  OpenScopeOf(const Step& step, const Place& around, Scope& scope) : OpenScope(step, around), scope_(scope) {}

  void Fork(const Step& step, const Place& place) override {
    Child& child = Add(step);
    Place below = PlaceOf(place);
    if (step.shielded) {
      below.forked_in = nullptr;
      Keep(child, scope_.Fork(Shield(RunChild(child, below))));
    } else if (step.closure) {
      Keep(child, scope_.Fork([&child, below, held = Counted(step.id)] { return RunChild(child, below); }));
    } else {
      Keep(child, scope_.Fork(RunChild(child, below)));
    }
  }
  void ForkDaemon(const Step& step, const Place& place) override {
    Child& child = Add(step);
    Place below = PlaceOf(place);
    below.daemon = true;
    Keep(child, scope_.ForkDaemon(RunChild(child, below)));
  }
  void Shutdown() override {
    NoteShut();
    scope_.Shutdown();
  }
  Task<absl::Status> Join() override { co_return Check(co_await scope_.Join()); }
  Task<absl::Status> JoinFor(absl::Duration timeout) override {
    auto joined = co_await scope_.JoinFor(timeout);
    if (joined.has_value()) co_return Check(*std::move(joined));
    CheckLeft();
    co_return absl::OkStatus();
  }
  Task<void> Next() override {
    if constexpr (std::is_same_v<Scope, AsCompleted<Counted>>) CheckNext(co_await scope_.NextCompleted());
    co_return;
  }
  Task<void> Close() override {
    NoteShut();
    co_await scope_.Close();
    CheckAllEnded();
  }
  // The scope is destroyed next.
  void NoteLeft() { NoteShut(); }
  using OpenScope::CheckReports;

 private:
  Place PlaceOf(const Place& forking) {
    return {.world = forking.world, .scope = this, .forked_in = this};
  }
  static void Keep(Child& child, Subtask<Counted> handle) {
    if (child.step.flag) child.handle = std::move(handle);
  }

  Scope& scope_;
};

// What the destruction of a scope does is that of one that is shut.
template <class Scope>
class LeftScope {
 public:
  explicit LeftScope(OpenScopeOf<Scope>& open) : open_(open) {}
  ~LeftScope() { open_.NoteLeft(); }

 private:
  OpenScopeOf<Scope>& open_;
};

ScopeOptions OptionsOf(const Step& step) {
  ScopeOptions options;
  if (step.limit != 0) options.max_concurrency = step.limit;
  if (step.timeout_ms != 0) options.timeout = absl::Milliseconds(step.timeout_ms);
  return options;
}

// `open` outlives the scope, which it refers to.
template <class Scope, class... Policy>
Task<Result> RunScope(const Step& step, Place place, int& reports, Policy... policy) {
  const Counted local(step.id);
  std::optional<OpenScopeOf<Scope>> open;
  Scope scope(std::move(policy)..., OptionsOf(step));
  open.emplace(step, place, scope);
  const LeftScope<Scope> left(*open);
  Place inside = place;
  inside.scope = &*open;
  inside.owner = true;
  Result own = co_await RunBody(step.body, inside);
  if (!own.ok()) {
    if (step.closure) co_await open->Close();
    co_return own;
  }
  switch (step.ending) {
    case Step::Ending::kJoin: {
      const absl::Status joined = co_await open->Join();
      if (step.policy == FuzzedPolicy::kSupervisor) open->CheckReports(reports);
      if (!joined.ok()) co_return joined;
      const bool one = step.policy == FuzzedPolicy::kShutdownOnSuccess;
      co_return Counted(own->value() + (one ? *open->winner()->value : open->sum()));
    }
    case Step::Ending::kClose:
      co_await open->Close();
      co_return own;
    case Step::Ending::kLeave:
      break;
  }
  co_return own;
}

Task<Result> RunAnyScope(const Step& step, Place place) {
  int reports = 0;
  int completed = 0;
  switch (step.policy) {
    case FuzzedPolicy::kAwaitAll:
      co_return co_await RunScope<AwaitAll>(step, place, reports);
    case FuzzedPolicy::kShutdownOnFailure:
      co_return co_await RunScope<ShutdownOnFailure>(step, place, reports);
    case FuzzedPolicy::kShutdownOnSuccess:
      co_return co_await RunScope<ShutdownOnSuccess<Counted>>(step, place, reports);
    case FuzzedPolicy::kAllSuccessful:
      co_return co_await RunScope<AllSuccessful<Counted>>(step, place, reports);
    case FuzzedPolicy::kAllUntil:
      co_return co_await RunScope<AllUntil<Counted>>(
          step, place, reports,
          AllUntilPolicy<Counted>([&](const Subtask<Counted>&) { return ++completed >= step.number; }));
    case FuzzedPolicy::kAsCompleted:
      co_return co_await RunScope<AsCompleted<Counted>>(step, place, reports);
    case FuzzedPolicy::kSupervisor:
      co_return co_await RunScope<Supervisor>(step, place, reports,
                                              SupervisorPolicy([&](const AnySubtask&) { ++reports; }));
  }
  co_return absl::InternalError("no such policy");
}

// A body in a boundary that may end it.
Task<Result> RunInside(const Step& step, Place place) {
  bool to_its_end = false;
  const auto run = [](const Body& body, Place there, bool& noted) -> Task<Result> {
    Result result = co_await RunBody(body, there);
    noted = true;
    co_return result;
  };
  const absl::Duration limit = absl::Milliseconds(step.number);
  const absl::Duration begin = place.world->simulation.now();
  Event& event = place.world->events[step.number % ScopeProgram::kEvents];
  Place inside = place;
  switch (step.kind) {
    case Kind::kWithTimeout: {
      inside.in_boundary = true;
      const Result result = co_await WithTimeout(limit, run(step.body, inside, to_its_end));
      if (to_its_end) co_return result;
      WEFT_CHECK(ReasonOf(result.status()).kind == CancelReason::Kind::kTimeout) << result.status();
      WEFT_CHECK(place.world->simulation.now() - begin >= limit) << "step " << step.id << " has ended early";
      co_return result;
    }
    case Kind::kCatchCancelled: {
      const Result result = co_await CatchCancelled(run(step.body, inside, to_its_end));
      WEFT_CHECK(to_its_end || (ReasonOf(result.status()) && MayBeEnded(place))) << result.status();
      co_return result;
    }
    case Kind::kStopEvent: {
      inside.in_boundary = true;
      const Result result = co_await WithStopEvent(event, run(step.body, inside, to_its_end));
      if (to_its_end) co_return result;
      WEFT_CHECK(event.IsSet() && ReasonOf(result.status()).kind == CancelReason::Kind::kEventSet) << result.status();
      co_return result;
    }
    case Kind::kGraceShield:
      co_return co_await Shield(limit, run(step.body, inside, to_its_end));
    default:
      inside.in_boundary = false;
      inside.daemon = false;
      inside.forked_in = nullptr;
      co_return co_await Shield(run(step.body, inside, to_its_end));
  }
}

// A wait for another thread, which need not come.
Task<void> Exchange(const Step& step, Place place) {
  Channel<Counted>& channel = place.world->channels[step.number];
  if (step.kind == Kind::kSend) {
    Counted value(step.id);
    const std::optional<bool> sent = co_await MoveOnAfter(kPatience, channel.Send(std::move(value)));
    WEFT_CHECK(sent == true || !sent.has_value()) << "nobody has closed the channel";
    WEFT_CHECK(sent.has_value() == (value.value() == Counted::kMovedFrom)) << "the value is " << value.value();
  } else {
    const auto got = co_await MoveOnAfter(kPatience, channel.Receive());
    WEFT_CHECK(!got.has_value() || (got->has_value() && (**got).value() > 0)) << "nobody has sent that";
  }
}

OpenScope& ScopeAt(const Place& place, int further_out) {
  OpenScope* scope = place.scope;
  while (further_out-- > 0) scope = scope->outer();
  return *scope;
}

[[noreturn]] void Throw(const Step& step) {
#if WEFT_EXCEPTIONS
  const std::string what = absl::StrCat(kFailure, step.id);
  if (step.flag) throw StatusError(absl::AbortedError(what));
  throw std::runtime_error(what);
#else
  static_cast<void>(step);
  std::abort();  // no program has such a step
#endif
}

Task<Result> RunStep(const Step& step, Place place) {
  switch (step.kind) {
    case Kind::kEnd:
      break;
    case Kind::kAdd:
      co_return Counted(step.number);
    case Kind::kSleep:
      co_await Sleep(absl::Milliseconds(step.number));
      break;
    case Kind::kYield:
      co_await Yield();
      break;
    case Kind::kFail:
      co_return absl::AbortedError(absl::StrCat(kFailure, step.id));
    case Kind::kThrow:
      Throw(step);
    case Kind::kScope:
      co_return co_await RunAnyScope(step, place);
    case Kind::kFork: {
      OpenScope& scope = ScopeAt(place, step.number);
      scope.Fork(step, place);
      break;
    }
    case Kind::kDaemon:
      place.scope->ForkDaemon(step, place);
      break;
    case Kind::kJoin:
      if (absl::Status joined = co_await place.scope->Join(); !joined.ok()) co_return joined;
      break;
    case Kind::kJoinFor:
      if (absl::Status joined = co_await place.scope->JoinFor(absl::Milliseconds(step.number)); !joined.ok()) {
        co_return joined;
      }
      break;
    case Kind::kNext:
      co_await place.scope->Next();
      break;
    case Kind::kShutdown:
      ScopeAt(place, step.number).Shutdown();
      break;
    case Kind::kWithTimeout:
    case Kind::kCatchCancelled:
    case Kind::kStopEvent:
    case Kind::kShield:
    case Kind::kGraceShield:
      co_return co_await RunInside(step, place);
    case Kind::kSet:
      place.world->events[step.number].Set();
      break;
    case Kind::kWait: {
      const bool came = co_await MoveOnAfter(kPatience, place.world->events[step.number].Wait());
      WEFT_CHECK(!came || place.world->events[step.number].IsSet()) << "the event was not set";
      break;
    }
    case Kind::kSend:
    case Kind::kReceive:
      co_await Exchange(step, place);
      break;
    case Kind::kRequested:
      WEFT_CHECK(!CancelRequested() || MayBeEnded(place)) << "step " << step.id << " is asked to end";
      break;
  }
  co_return Counted(0);
}

Task<Result> RunBody(const Body& body, Place place) {
  Counted sum(0);
  for (const Step& step : body) {
    const Result result = co_await RunStep(step, place);
    if (result.ok()) {
      sum = Counted(sum.value() + result->value());
    } else if (step.flag || step.kind == Kind::kFail) {
      co_return result.status();
    }
  }
  co_return sum;
}

// ---- What it yields.

Task<Result> RunProgram(const ScopeProgram& program, World& world) {
#if WEFT_EXCEPTIONS
  try {
#endif
    co_return co_await RunBody(program.main, {.world = &world});
#if WEFT_EXCEPTIONS
  } catch (...) {
    co_return ExceptionToStatus(std::current_exception());
  }
#endif
}

// The id of the step that has failed; 0 if it is not a failure of the program's own.
int StepOf(const absl::Status& status) {
  absl::string_view text = status.message();
  int id = 0;
  if (!absl::ConsumePrefix(&text, kFailure)) return 0;
  return absl::SimpleAtoi(text, &id) ? id : 0;
}

void CheckPossible(const Possible& possible, const Result& result) {
  if (result.ok()) {
    WEFT_CHECK(possible.any_value || possible.values.contains(result->value()))
        << result->value() << " is none of " << possible.values.size() << " possible values";
  } else {
    const int step = StepOf(result.status());
    WEFT_CHECK(possible.failures.contains(step) || possible.throws.contains(step)) << result.status();
  }
}

void RunAndCheck(const ScopeProgram& program) {
  const Census before = Census::Take();
  const int64_t bad = Counted::bad.load();
  {
    Simulation simulation({.carriers = program.carriers, .seed = program.seed, .max_turns = 1'000'000});
    World world(simulation);
    const Result result = simulation.Run(RunProgram(program, world));
    if (const std::optional<Possible> possible = PossibleOf(program)) CheckPossible(*possible, result);
  }
  WEFT_CHECK(Census::Take() == before) << "left behind: before " << before << "; after " << Census::Take();
  WEFT_CHECK(Counted::alive.load() == 0) << Counted::alive.load() << " objects are left";
  WEFT_CHECK(Counted::bad.load() == bad) << "an object was destroyed twice";
}

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const weft::testing::ScopeProgram program{weft::testing::FuzzInput({reinterpret_cast<const char*>(data), size})};
  weft::testing::PrintFuzzed([&program] { return program.ToString(); });
  weft::testing::RunAndCheck(program);
  return 0;
}
