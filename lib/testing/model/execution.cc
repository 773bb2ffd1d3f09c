#include "lib/testing/model/execution.h"

#include <setjmp.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/testing/fiber.h"
#include "lib/testing/model/choices.h"
#include "lib/testing/model/memory.h"
#include "lib/testing/model/model_atomic.h"
#include "lib/testing/model/search.h"
#include "lib/testing/model/state_set.h"
#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

constexpr size_t kStackBytes = size_t{128} * 1024;
// How often all threads may go round their loops once more although there is nothing new to see.
constexpr int kFutileRounds = 64;

}  // namespace

Execution::Execution(const ProgramType& type, const void* arguments, const Options& options, Search& search)
    : type_(type),
      arguments_(arguments),
      options_(options),
      search_(search),
      choices_(search.choices()),
      program_(::operator new(type.size, std::align_val_t(type.alignment))),
      bounded_(options.preemptions != kUnbounded) {
  WEFT_CHECK(running_ == nullptr) << "model::Explore() within model::Explore()";
  WEFT_CHECK(type.threads >= 1 && type.threads <= kMaxThreads)
      << "a program has 1 to " << kMaxThreads << " threads, and this one " << type.threads;
  WEFT_CHECK(!bounded_ || (options.preemptions >= 0 && options.preemptions <= StateSet::kMaxLeft))
      << "preemptions are 0 to " << StateSet::kMaxLeft << ", or kUnbounded; they are " << options.preemptions;
  running_ = this;
  for (int i = 0; i <= kFrame; ++i) {
    if (i < type.threads || i == kFrame) {
      ActorOf(i).fiber = std::make_unique<Fiber>([this, i] { ActorMain(i); }, kStackBytes);
    }
  }
}

Execution::~Execution() {
  running_ = nullptr;
  ::operator delete(program_, std::align_val_t(type_.alignment));
}

// Never returns: an actor that has done its part, or is abandoned, waits at its start for the next execution.
void Execution::ActorMain(int index) {
  Actor& actor = ActorOf(index);
  if (setjmp(actor.start) != 0) {
    ActorOf(index).at_start = true;
    Fiber::SwitchBack();
  }
  for (;;) {
    ActorOf(index).at_start = false;
    if (index == kFrame) {
      RunFrame(phase_);
      actor_ = kNone;
    } else {
      type_.thread(program_, index);
      live_ &= ~Bit(index);
      if (tracing_) Trace("ends", Where());
      actor_ = PickNext();
      chosen_ = true;
    }
    ActorOf(index).at_start = true;
    Fiber::SwitchBack();
  }
}

void Execution::RunFrame(Phase phase) {
  switch (phase) {
    case Phase::kConstruct:
      type_.construct(program_, arguments_);
      break;
    case Phase::kFinish:
      type_.finish(program_);
      break;
    case Phase::kDestroy:
      type_.destroy(program_);
      break;
  }
}

void Execution::RunActor(int index) {
  actor_ = index;
  ActorOf(index).fiber->SwitchTo();
}

// Whatever stands on its stack is forgotten.
void Execution::Abandon(int index) {
  if (ActorOf(index).fiber == nullptr || ActorOf(index).at_start) return;
  stopped_ = true;  // seen where it gave way
  RunActor(index);
}

void Execution::Run() {
  memory_.Reset();
  choices_.Rewind();
  live_ = asleep_ = spinning_ = 0;
  preemptions_left_ = options_.preemptions;
  spurious_failures_left_ = options_.spurious_failures;
  spurious_wakes_left_ = options_.spurious_wakes;
  futile_rounds_ = steps_ = 0;
  failed_ = stopped_ = is_cut_ = false;
  for (Actor& actor : actors_) actor.sleep = Sleep::kNone;

  phase_ = Phase::kConstruct;
  RunActor(kFrame);
  const bool constructed = !failed_;
  if (!stopped_) {
    memory_.StartThreads();
    live_ = Bit(type_.threads) - 1;
    chosen_ = true;
    for (int next = PickNext(); next != kNone && !stopped_; next = actor_) RunActor(next);
  }
  if (!stopped_) {
    phase_ = Phase::kFinish;
    RunActor(kFrame);
  }
  search_.EndExecution(failed_);
  is_cut_ = stopped_ && !failed_;
  total_steps_ += steps_;
  for (int i = 0; i <= kFrame; ++i) Abandon(i);
  if (constructed) {
    phase_ = Phase::kDestroy;
    RunActor(kFrame);
  }
  actor_ = kNone;
}

std::string Execution::RunTraced() {
  trace_.clear();
  tracing_ = true;
  Run();
  tracing_ = false;
  return std::move(trace_);
}

void Execution::Fail(const std::string& violation) {
  if (!failed_ && !(is_cut_ && phase_ == Phase::kDestroy)) {
    failed_ = stopped_ = true;
    violation_ = violation;
    if (tracing_) Trace(absl::StrCat("VIOLATION: ", violation), Where());
  }
  WEFT_CHECK(actor_ != kNone) << violation;
  Leave();
}

// Abandons what the running actor was doing.
void Execution::Leave() {
  const int actor = actor_;
  actor_ = kNone;
  longjmp(ActorOf(actor).start, 1);
}

// ---- Scheduling.

Mask Execution::Sleepers(Sleep sleep) const {
  Mask found = 0;
  for (Mask left = asleep_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (ActorOf(i).sleep == sleep) found |= Bit(i);
  }
  return found;
}

// Threads that may take a step: awake, and not spinning in vain.
Mask Execution::Ready() {
  Mask ready = live_ & ~asleep_ & ~spinning_;
  for (Mask left = spinning_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (memory_.HasNews(i)) ready |= Bit(i);
  }
  return ready;
}

// The next thread, where the last one cannot go on, which costs no preemption. kNone: the execution is over.
int Execution::PickNext() {
  if (live_ == 0) return kNone;
  const Mask ready = Ready();
  Mask others = Sleepers(Sleep::kTimed);
  if (ready == 0 && others == 0 && spinning_ != 0) {
    // Loops that give up after some rounds do so now.
    if (++futile_rounds_ > kFutileRounds) Fail("livelock: every thread that is awake spins, and nobody writes");
    others = spinning_;
  }
  if (ready != 0 && spurious_wakes_left_ > 0) others = asleep_;
  if ((ready | others) == 0) {
    if (type_.may_end_waiting) return kNone;
    Fail(DescribeDeadlock());
  }
  if (actor_ != kNone) CutIfSeen(kNone);
  const int chosen = choices_.Choose(std::popcount(ready | others));
  // Those that are ready come first.
  const int next =
      chosen < std::popcount(ready) ? NthOf(ready, chosen) : NthOf(others & ~ready, chosen - std::popcount(ready));
  if ((asleep_ & Bit(next)) != 0) {
    Rouse(next, ActorOf(next).sleep == Sleep::kTimed ? Awoken::kTimedOut : Awoken::kSpurious);
  }
  return next;
}

// Who could preempt the running thread.
Mask Execution::Preempters() {
  if (preemptions_left_ == 0) return 0;
  Mask others = live_ & ~Bit(actor_);
  if (others == 0 || (spinning_ | asleep_) == 0) return others;
  others = Ready() & ~Bit(actor_);
  return others | (spurious_wakes_left_ > 0 ? asleep_ : Sleepers(Sleep::kTimed));
}

// A step that makes no difference to any other thread. The schedule says that no other thread came first.
void Execution::PrivateStep() {
  CountStep();
  if (std::exchange(chosen_, false)) return;
  if (tracing_) choices_.NoteForced(1 + std::popcount(Preempters()));
}

// Leaves the execution, if the search has been here before. `next`: who runs.
void Execution::CutIfSeen(int next) {
  if (!search_.CutsHere()) return;
  uint64_t state = Memory::Mix(memory_.StateHash(), bounded_ ? static_cast<uint64_t>(next + 1) : 0);
  state = Memory::Mix(state, uint64_t{live_} << 32 | asleep_ << 16 | spinning_);
  if (search_.Meet(state, bounded_ ? preemptions_left_ : 0)) return;
  stopped_ = true;
  Leave();
}

void Execution::CountStep() {
  if (++steps_ > options_.max_steps) {
    Fail(absl::StrCat("an execution has more than ", options_.max_steps, " steps: a loop that does not end"));
  }
}

// Before each step of the running thread: another one may come first.
void Execution::Step() {
  if (actor_ == kFrame) return;
  CountStep();
  if (std::exchange(chosen_, false)) return;
  CutIfSeen(actor_);
  const Mask others = Preempters();
  if (others == 0) return;
  const int chosen = choices_.Choose(1 + std::popcount(others), Choices::Kind::kSwitch);
  if (chosen == 0) return;
  if (bounded_) --preemptions_left_;
  const int next = NthOf(others, chosen - 1);
  if ((asleep_ & Bit(next)) != 0) {
    Rouse(next, ActorOf(next).sleep == Sleep::kTimed ? Awoken::kTimedOut : Awoken::kSpurious);
  }
  SwitchTo(next);
  chosen_ = false;  // the step follows
}

// Returns when the calling thread is chosen again.
void Execution::SwitchTo(int thread) {
  const int self = actor_;
  chosen_ = true;
  if (thread == self) return;
  actor_ = thread;
  Fiber::SwitchBack();
  if (stopped_) {  // abandoned
    actor_ = self;
    Leave();
  }
}

void Execution::GiveWay() { SwitchTo(PickNext()); }

void Execution::Rouse(int thread, Awoken awoken) {
  asleep_ &= ~Bit(thread);
  ActorOf(thread).sleep = Sleep::kNone;
  ActorOf(thread).awoken = awoken;
  memory_.Note(thread, static_cast<uint64_t>(awoken));
  if (awoken == Awoken::kSpurious) --spurious_wakes_left_;
}

// ---- Reports.

void Execution::Trace(std::string_view what, Where where) {
  const char* path = where.file_name();
  const char* slash = std::strrchr(path, '/');
  const std::string place =
      where.line() == 0 ? "" : absl::StrCat(slash == nullptr ? path : slash + 1, ":", where.line());
  absl::StrAppendFormat(&trace_, "  %3d  %s  %-32s %s%s\n", steps_,
                        actor_ == kFrame ? "setup   " : absl::StrCat("thread ", actor_), place, what,
                        Site::latest == nullptr ? "" : absl::StrCat("  [", Site::latest->label, "]"));
}

std::string Execution::DescribeDeadlock() const {
  std::string text = "deadlock:";
  for (Mask left = live_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    absl::StrAppend(&text, i == std::countr_zero(live_) ? " " : ", ", "thread ", i, " sleeps on #",
                    ActorOf(i).sleeps_on);
  }
  return text;
}

}  // namespace weft::internal::model
