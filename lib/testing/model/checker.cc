// Runs programs: fibers for their threads, a choice at every step, a tree of executions.
#include "lib/testing/model/checker.h"

#include <setjmp.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/os/futex.h"
#include "lib/testing/fiber.h"
#include "lib/testing/model/choices.h"
#include "lib/testing/model/memory.h"
#include "lib/testing/model/sites.h"
#include "lib/testing/model/state_set.h"
#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

// The program's constructor, Finish() and destructor run on a fiber as well, so that a violation can leave them.
constexpr int kFrame = kMaxThreads;
constexpr size_t kStackBytes = size_t{128} * 1024;
// How often all threads may go once more round their loops with nothing new to see.
constexpr int kFutileRounds = 64;
constexpr int kNone = -1;

using Mask = uint32_t;
constexpr Mask Bit(int thread) { return Mask{1} << thread; }

// The n-th bit that is set, from the lowest.
int NthOf(Mask mask, int n) {
  for (; n > 0; --n) mask &= mask - 1;
  return std::countr_zero(mask);
}

std::string ValueText(uint64_t value) {
  return value < 1'000'000 ? absl::StrCat(value) : absl::StrCat("0x", absl::Hex(value));
}

double CpuSeconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

enum class Sleep : uint8_t { kNone, kForever, kTimed };
enum class Awoken : uint8_t { kNone, kRung, kTimedOut, kSpurious };

// Reports are not wanted for what an abandoned thread had allocated.
class LeaksAreIgnored {
 public:
#if __has_feature(address_sanitizer)
  LeaksAreIgnored() { __lsan_disable(); }
  ~LeaksAreIgnored() { __lsan_enable(); }
#else
  LeaksAreIgnored() {}
#endif
  LeaksAreIgnored(const LeaksAreIgnored&) = delete;
  LeaksAreIgnored& operator=(const LeaksAreIgnored&) = delete;
};

}  // namespace

class Checker {
 public:
  Checker(const ProgramType& type, const void* arguments, const Options& options);
  ~Checker();

  Result Explore();
  Result Replay(std::string_view schedule);

  static Checker& Running(const char* what) {
    WEFT_CHECK(running_ != nullptr) << what << " outside of model::Explore()";
    return *running_;
  }
  static bool IsInExecution() { return running_ != nullptr && running_->actor_ != kNone; }

  // ---- What the running thread does.
  int NewPlace(uint64_t value, Where where);
  uint64_t Load(int place, Order order, Where where);
  void Store(int place, uint64_t value, Order order, Where where);
  uint64_t Modify(int place, Update update, uint64_t operand, uint64_t mask, Order order, Where where);
  bool CompareExchange(int place, uint64_t& expected, uint64_t desired, bool weak, Order success, Order failure,
                       Where where);
  void FenceStep(const char* name, Order order, Where where);
  void LightFence(Order order, Where where);
  void HeavyFence(Order order, Where where);
  void Relax(Where where);
  FutexOutcome Wait(int place, uint32_t expected, bool timed);
  void WakeUp(int place, int count);
  void Retire(int place) { memory_.Retire(thread(), place); }
  int NewCell() { return memory_.NewCell(); }
  void ReadCell(int cell) { memory_.ReadCell(thread(), cell); }
  void WriteCell(int cell) { memory_.WriteCell(thread(), cell); }
  int Choose(int count) {
    const int chosen = choices_.Choose(count);
    memory_.Note(actor_, static_cast<uint64_t>(chosen));
    if (tracing_ && count > 1) Trace(absl::StrFormat("chooses %d of %d", chosen, count), Where());
    return chosen;
  }
  [[noreturn]] void Fail(const std::string& violation);

 private:
  struct Actor {
    std::unique_ptr<Fiber> fiber;
    jmp_buf start;
    bool at_start = true;
    Sleep sleep = Sleep::kNone;
    Awoken awoken = Awoken::kNone;
    int sleeps_on = 0;
  };

  int thread() const { return actor_ == kFrame ? kNobody : actor_; }

  // ---- One execution.
  void RunOnce();
  void RunActor(int index);
  [[noreturn]] void ActorMain(int index);
  [[noreturn]] void Leave();
  void Abandon(int index);
  enum class Phase : uint8_t { kConstruct, kFinish, kDestroy };
  void RunFrame(Phase phase);

  // ---- Scheduling.
  void Step();
  void SwitchTo(int thread);
  void GiveWay();
  int PickNext();
  Mask Ready();
  Mask Sleepers(Sleep sleep) const;
  void Rouse(int thread, Awoken awoken);
  void LoadStep(int place, Order order);
  void StoreStep(int place, Order order);
  void PrivateStep();
  void CountStep();
  void CutIfSeen(int next);
  bool MakeLook();
  Mask Preempters();
  void NoteUse(int place, bool writes);

  void Trace(std::string what, Where where);
  std::string DescribeDeadlock() const;
  void Finish(Result& result, double start);

  static inline constinit Checker* running_ = nullptr;

  const ProgramType& type_;
  const void* const arguments_;
  const Options options_;
  void* const program_;
  Choices choices_;
  Memory memory_{choices_};
  std::array<Actor, kMaxThreads + 1> actors_;

  // ---- The running execution.
  int actor_ = kNone;  // who runs: a thread, or kFrame
  Phase phase_ = Phase::kConstruct;
  Mask live_ = 0;  // threads that have not ended
  Mask asleep_ = 0;
  Mask spinning_ = 0;    // between a Relax() and the next step
  bool chosen_ = false;  // the running thread was chosen, and has not taken a step since
  int preemptions_left_ = 0;
  int spurious_failures_left_ = 0;
  int spurious_wakes_left_ = 0;
  int futile_rounds_ = 0;
  int steps_ = 0;
  bool failed_ = false;
  bool stopped_ = false;  // failed, or known from here on, or over
  bool is_cut_ = false;   // known from some step on: what the destructor says of a program in the middle is nothing
  std::string violation_;

  // ---- Learned over all executions: who uses a place, and who writes to it. What one thread alone writes, that thread
  // loads without a choice of who comes first: it makes no difference. When more is learned, the search begins again.
  struct Uses {
    Mask all[kMaxPlaces] = {};
    Mask writes[kMaxPlaces] = {};
  };
  Uses known_;  // before this execution
  Uses seen_;
  bool learned_ = false;

  // ---- The states that the search has been in.
  const bool bounded_;
  bool remembers_ = false;
  StateSet states_;
  struct Look {
    uint64_t state;
    int depth;  // of the choices
    int preemptions_left;
  };
  static constexpr uint32_t kLooksAhead = 4;
  Look ahead_[kLooksAhead];  // a queue, from looks_made_ to looks_
  uint32_t looks_ = 0;
  uint32_t looks_made_ = 0;

  int64_t total_steps_ = 0;
  bool tracing_ = false;
  std::string trace_;
};

// ---- One execution.

Checker::Checker(const ProgramType& type, const void* arguments, const Options& options)
    : type_(type),
      arguments_(arguments),
      options_(options),
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
      actors_[i].fiber = std::make_unique<Fiber>([this, i] { ActorMain(i); }, kStackBytes);
    }
  }
}

Checker::~Checker() {
  running_ = nullptr;
  ::operator delete(program_, std::align_val_t(type_.alignment));
}

// Never returns: an actor that has done its part, or is abandoned, waits at its start for the next execution.
void Checker::ActorMain(int index) {
  Actor& actor = actors_[index];
  if (setjmp(actor.start) != 0) {
    actors_[index].at_start = true;
    Fiber::SwitchBack();
  }
  for (;;) {
    actors_[index].at_start = false;
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
    actors_[index].at_start = true;
    Fiber::SwitchBack();
  }
}

void Checker::RunFrame(Phase phase) {
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

void Checker::RunActor(int index) {
  actor_ = index;
  actors_[index].fiber->SwitchTo();
}

// Whatever stands on its stack is forgotten.
void Checker::Abandon(int index) {
  if (actors_[index].fiber == nullptr || actors_[index].at_start) return;
  stopped_ = true;  // seen where it gave way
  RunActor(index);
}

void Checker::RunOnce() {
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
  while (looks_made_ != looks_ && !failed_ && MakeLook()) {
  }
  looks_made_ = looks_;
  is_cut_ = stopped_ && !failed_;
  total_steps_ += steps_;
  for (int i = 0; i <= kFrame; ++i) Abandon(i);
  if (constructed) {
    phase_ = Phase::kDestroy;
    RunActor(kFrame);
  }
  actor_ = kNone;
}

void Checker::Fail(const std::string& violation) {
  if (!failed_ && !(is_cut_ && phase_ == Phase::kDestroy)) {
    failed_ = stopped_ = true;
    violation_ = violation;
    if (tracing_) Trace(absl::StrCat("VIOLATION: ", violation), Where());
  }
  WEFT_CHECK(actor_ != kNone) << violation;
  Leave();
}

// Forgets what the running actor was about.
void Checker::Leave() {
  const int actor = actor_;
  actor_ = kNone;
  longjmp(actors_[actor].start, 1);
}

// ---- Scheduling.

Mask Checker::Sleepers(Sleep sleep) const {
  Mask found = 0;
  for (Mask left = asleep_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (actors_[i].sleep == sleep) found |= Bit(i);
  }
  return found;
}

// Threads that may take a step: awake, and not spinning in vain.
Mask Checker::Ready() {
  Mask ready = live_ & ~asleep_ & ~spinning_;
  for (Mask left = spinning_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (memory_.HasNews(i)) ready |= Bit(i);
  }
  return ready;
}

// The next thread, where the last one cannot go on: free. kNone: the execution is over.
int Checker::PickNext() {
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
    Rouse(next, actors_[next].sleep == Sleep::kTimed ? Awoken::kTimedOut : Awoken::kSpurious);
  }
  return next;
}

// Who could preempt the running thread.
Mask Checker::Preempters() {
  if (preemptions_left_ == 0) return 0;
  Mask others = live_ & ~Bit(actor_);
  if (others == 0 || (spinning_ | asleep_) == 0) return others;
  others = Ready() & ~Bit(actor_);
  return others | (spurious_wakes_left_ > 0 ? asleep_ : Sleepers(Sleep::kTimed));
}

// A step that makes no difference to any other thread. Its schedule says that nobody came first.
void Checker::PrivateStep() {
  CountStep();
  if (std::exchange(chosen_, false)) return;
  if (tracing_) choices_.NoteForced(1 + std::popcount(Preempters()));
}

void Checker::LoadStep(int place, Order order) {
  if (actor_ == kFrame) return;
  const bool is_private = order != Order::seq_cst && (known_.writes[place] & ~Bit(actor_)) == 0;
  is_private ? PrivateStep() : Step();
}

void Checker::StoreStep(int place, Order order) {
  if (actor_ == kFrame) return;
  const bool is_private = order != Order::seq_cst && (known_.all[place] & ~Bit(actor_)) == 0;
  is_private ? PrivateStep() : Step();
}

// Whatever comes after this state has been explored already, if the search has been here before. `next`: who runs. The
// look is made some steps later, when the state set's memory has arrived.
void Checker::CutIfSeen(int next) {
  if (!remembers_ || !choices_.IsNew()) return;
  if (looks_made_ + kLooksAhead == looks_) {
    if (!MakeLook()) {
      stopped_ = true;
      Leave();
    }
  }
  uint64_t state = Memory::Mix(memory_.StateHash(), bounded_ ? static_cast<uint64_t>(next + 1) : 0);
  state = Memory::Mix(state, uint64_t{live_} << 32 | asleep_ << 16 | spinning_);
  states_.Prefetch(state);
  ahead_[looks_++ % kLooksAhead] = {state, choices_.depth(), bounded_ ? preemptions_left_ : 0};
}

// False: the execution has gone on in vain since the state was met. No choice after it is to be tried.
bool Checker::MakeLook() {
  const Look& look = ahead_[looks_made_++ % kLooksAhead];
  if (states_.Enter(look.state, look.preemptions_left)) return true;
  choices_.ForgetFrom(look.depth);
  looks_made_ = looks_;
  return false;
}

void Checker::CountStep() {
  if (++steps_ > options_.max_steps) {
    Fail(absl::StrCat("an execution has more than ", options_.max_steps, " steps: a loop that does not end"));
  }
}

// Before each step of the running thread: another one may come first.
void Checker::Step() {
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
    Rouse(next, actors_[next].sleep == Sleep::kTimed ? Awoken::kTimedOut : Awoken::kSpurious);
  }
  SwitchTo(next);
  chosen_ = false;  // the step follows
}

// Returns when the calling thread is chosen again.
void Checker::SwitchTo(int thread) {
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

void Checker::GiveWay() { SwitchTo(PickNext()); }

void Checker::Rouse(int thread, Awoken awoken) {
  asleep_ &= ~Bit(thread);
  actors_[thread].sleep = Sleep::kNone;
  actors_[thread].awoken = awoken;
  memory_.Note(thread, static_cast<uint64_t>(awoken));
  if (awoken == Awoken::kSpurious) --spurious_wakes_left_;
}

void Checker::NoteUse(int place, bool writes) {
  if (actor_ == kFrame) return;
  const Mask self = Bit(actor_);
  if ((seen_.all[place] & self) == 0) {
    seen_.all[place] |= self;
    learned_ = true;
  }
  if (writes && (seen_.writes[place] & self) == 0) {
    seen_.writes[place] |= self;
    learned_ = true;
  }
}

// ---- Operations.

int Checker::NewPlace(uint64_t value, Where where) {
  const int place = memory_.Create(thread(), value);
  if (tracing_ && actor_ != kFrame) Trace(absl::StrCat("creates #", place, " = ", ValueText(value)), where);
  return place;
}

uint64_t Checker::Load(int place, Order order, Where where) {
  LoadStep(place, order);
  const uint64_t value = memory_.Load(thread(), place, order);
  NoteUse(place, false);
  if (tracing_) {
    Trace(absl::StrFormat("load #%d %s: %s, store %d of %d", place, OrderName(order), ValueText(value),
                          memory_.last_position(), memory_.count(place) - 1),
          where);
  }
  Site::latest = nullptr;
  return value;
}

void Checker::Store(int place, uint64_t value, Order order, Where where) {
  StoreStep(place, order);
  memory_.Store(thread(), place, value, order);
  NoteUse(place, true);
  if (tracing_) {
    Trace(absl::StrFormat("store #%d %s: %s, as store %d of %d", place, OrderName(order), ValueText(value),
                          memory_.last_position(), memory_.count(place) - 1),
          where);
  }
  Site::latest = nullptr;
}

uint64_t Checker::Modify(int place, Update update, uint64_t operand, uint64_t mask, Order order, Where where) {
  StoreStep(place, order);
  const auto next = [update, operand, mask](uint64_t value) {
    switch (update) {
      case Update::kExchange:
        return operand;
      case Update::kAdd:
        return (value + operand) & mask;
      case Update::kAnd:
        return value & operand;
      case Update::kOr:
        return value | operand;
      case Update::kXor:
        return value ^ operand;
    }
    return operand;
  };
  const uint64_t value = memory_.Modify(thread(), place, order, next);
  NoteUse(place, true);
  if (tracing_) {
    Trace(absl::StrFormat("RMW #%d %s: %s -> %s, as store %d of %d", place, OrderName(order), ValueText(value),
                          ValueText(next(value)), memory_.last_position(), memory_.count(place) - 1),
          where);
  }
  Site::latest = nullptr;
  return value;
}

bool Checker::CompareExchange(int place, uint64_t& expected, uint64_t desired, bool weak, Order success, Order failure,
                              Where where) {
  StoreStep(place, success);
  const uint64_t wanted = expected;
  const bool done = memory_.CompareExchange(thread(), place, expected, desired, success, failure,
                                            weak && spurious_failures_left_ > 0);
  if (!done && expected == wanted) --spurious_failures_left_;
  NoteUse(place, true);
  if (tracing_) {
    Trace(done
              ? absl::StrFormat("CAS #%d %s: %s -> %s, as store %d of %d", place, OrderName(success), ValueText(wanted),
                                ValueText(desired), memory_.last_position(), memory_.count(place) - 1)
              : absl::StrFormat("CAS #%d %s fails: %s, not %s, store %d of %d", place, OrderName(failure),
                                ValueText(expected), ValueText(wanted), memory_.last_position(),
                                memory_.count(place) - 1),
          where);
  }
  Site::latest = nullptr;
  return done;
}

void Checker::FenceStep(const char* name, Order order, Where where) {
  Step();
  memory_.Fence(thread(), order);
  memory_.Note(actor_, 0);
  if (tracing_) Trace(absl::StrCat(name, " ", OrderName(order)), where);
  Site::latest = nullptr;
}

// Weakened, it is not there.
void Checker::LightFence(Order order, Where where) {
  if (tracing_) Trace(absl::StrCat("light fence ", OrderName(order)), where);
  Site::latest = nullptr;
  if (order == Order::seq_cst && actor_ != kFrame) memory_.LightFence(actor_);
}

// Weakened, it fences its own thread only.
void Checker::HeavyFence(Order order, Where where) {
  FenceStep("heavy fence", Order::seq_cst, where);
  if (actor_ == kFrame) return;
  if (order == Order::seq_cst) {
    for (Mask left = (Bit(type_.threads) - 1) & ~Bit(actor_); left != 0;) {
      Step();
      const int interrupted = NthOf(left, choices_.Choose(std::popcount(left)));
      memory_.ForceFence(interrupted);
      memory_.Note(actor_, static_cast<uint64_t>(interrupted));
      if (tracing_) Trace(absl::StrCat("heavy fence reaches thread ", interrupted), where);
      left &= ~Bit(interrupted);
    }
  }
  memory_.Fence(actor_, Order::seq_cst);
}

void Checker::Relax(Where where) {
  if (actor_ == kFrame) return;
  CountStep();
  if (tracing_) Trace("relaxes", where);
  memory_.Relax(actor_);
  memory_.Note(actor_, 0);
  spinning_ |= Bit(actor_);
  const int self = actor_;
  GiveWay();
  spinning_ &= ~Bit(self);
}

// The kernel compares the newest value in one step with going to sleep, and orders nothing for the caller.
FutexOutcome Checker::Wait(int place, uint32_t expected, bool timed) {
  WEFT_CHECK(actor_ != kFrame) << "a futex wait in a constructor or in Finish()";
  Step();
  memory_.LightFence(actor_);
  memory_.LookAt(actor_, place);
  memory_.Note(actor_, memory_.LatestId(place));
  memory_.Relax(actor_);  // what the kernel has seen changed, the caller sees some time
  if (memory_.Latest(place) != expected) {
    if (tracing_) Trace(absl::StrFormat("futex wait #%d: it is not %u", place, expected), Where());
    return FutexOutcome::kWoken;
  }
  const int self = actor_;
  asleep_ |= Bit(self);
  actors_[self].sleep = timed ? Sleep::kTimed : Sleep::kForever;
  actors_[self].sleeps_on = place;
  if (tracing_) Trace(absl::StrFormat("sleeps on #%d == %u", place, expected), Where());
  GiveWay();
  const Awoken awoken = actors_[self].awoken;
  if (tracing_) {
    Trace(awoken == Awoken::kTimedOut   ? "its sleep ends in time"
          : awoken == Awoken::kSpurious ? "wakes for no reason"
                                        : "wakes",
          Where());
  }
  return awoken == Awoken::kTimedOut ? FutexOutcome::kTimedOut : FutexOutcome::kWoken;
}

void Checker::WakeUp(int place, int count) {
  if (actor_ == kFrame) return;
  Step();
  memory_.LightFence(actor_);
  memory_.Note(actor_, 0);
  Mask sleepers = 0;
  for (Mask left = asleep_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (actors_[i].sleeps_on == place) sleepers |= Bit(i);
  }
  if (tracing_) Trace(absl::StrFormat("futex wake #%d: %d asleep", place, std::popcount(sleepers)), Where());
  for (; count > 0 && sleepers != 0; --count) {
    const int woken = NthOf(sleepers, count >= std::popcount(sleepers) ? 0 : choices_.Choose(std::popcount(sleepers)));
    Rouse(woken, Awoken::kRung);
    memory_.Note(actor_, static_cast<uint64_t>(woken));
    sleepers &= ~Bit(woken);
  }
}

// ---- Exploring.

void Checker::Trace(std::string what, Where where) {
  const char* path = where.file_name();
  const char* slash = std::strrchr(path, '/');
  const std::string place =
      where.line() == 0 ? "" : absl::StrCat(slash == nullptr ? path : slash + 1, ":", where.line());
  absl::StrAppendFormat(&trace_, "  %3d  %s  %-32s %s%s\n", steps_,
                        actor_ == kFrame ? "setup   " : absl::StrCat("thread ", actor_), place, what,
                        Site::latest == nullptr ? "" : absl::StrCat("  [", Site::latest->label, "]"));
}

std::string Checker::DescribeDeadlock() const {
  std::string text = "deadlock:";
  for (Mask left = live_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    absl::StrAppend(&text, i == std::countr_zero(live_) ? " " : ", ", "thread ", i, " sleeps on #",
                    actors_[i].sleeps_on);
  }
  return text;
}

void Checker::Finish(Result& result, double start) {
  result.steps = total_steps_;
  result.seconds = CpuSeconds() - start;
  remembers_ = false;
  if (!failed_) return;
  result.violation = violation_;
  trace_.clear();
  tracing_ = true;
  choices_.StartText();
  RunOnce();
  tracing_ = false;
  result.schedule = choices_.Text();
  WEFT_CHECK(failed_ && violation_ == result.violation) << "an execution that was run again ended otherwise: a program "
                                                           "under the model checker depends on something else than "
                                                           "its choices; first: "
                                                        << result.violation << "; then: " << violation_;
  result.trace = trace_;
}

Result Checker::Explore() {
  const double start = CpuSeconds();
  const LeaksAreIgnored ignored;
  Result result;
  remembers_ = options_.seed == 0;
  if (options_.seed != 0) choices_.DrawFrom(options_.seed);
  while (result.executions < options_.max_executions) {
    if (options_.seed != 0) choices_.Clear();
    RunOnce();
    ++result.executions;
    if (failed_) break;
    if (learned_) {
      learned_ = false;
      known_ = seen_;
      if (options_.seed != 0) continue;
      result.executions = 0;
      choices_.Clear();
      states_.Clear();
      continue;
    }
    if (options_.seed != 0) continue;
    if (!choices_.Next()) {
      result.exhausted = true;
      break;
    }
  }
  Finish(result, start);
  return result;
}

Result Checker::Replay(std::string_view schedule) {
  const double start = CpuSeconds();
  const LeaksAreIgnored ignored;
  Result result;
  if (!choices_.Parse(schedule)) return result;
  // A schedule has every choice, also those that are known to make no difference.
  for (Mask& all : known_.all) all = ~Mask{0};
  for (Mask& writes : known_.writes) writes = ~Mask{0};
  RunOnce();
  result.executions = 1;
  result.exhausted = true;
  Finish(result, start);
  return result;
}

std::string Result::Report() const {
  if (violation.empty()) return "no violation";
  return absl::StrCat(violation, "\n  step  who     where                            what\n", trace, "  schedule ",
                      schedule, "\n");
}

Result ExploreProgram(const ProgramType& type, const void* arguments, const Options& options) {
  return std::make_unique<Checker>(type, arguments, options)->Explore();
}

Result ReplayProgram(const ProgramType& type, const void* arguments, const Options& options,
                     std::string_view schedule) {
  return std::make_unique<Checker>(type, arguments, options)->Replay(schedule);
}

// ---- For programs.

void Violate(const char* format, ...) noexcept {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  Checker::Running("a violation").Fail(text);
}

bool InExecution() noexcept { return Checker::IsInExecution(); }

void Require(bool holds, const char* sentence) noexcept {
  if (!holds) Checker::Running("Require()").Fail(sentence);
}
int Choose(int count) noexcept { return Checker::Running("Choose()").Choose(count); }
int NewCell() noexcept { return Checker::Running("a Cell").NewCell(); }
void ReadCell(int cell) noexcept { Checker::Running("a Cell").ReadCell(cell); }
void WriteCell(int cell) noexcept { Checker::Running("a Cell").WriteCell(cell); }

// ---- The seam: see weft/internal/model_atomic.h. 0 is no place.

namespace {

int Index(Place place) { return static_cast<int>(place) - 1; }

Checker& AtPlace(Place place) {
  Checker& checker = Checker::Running("an Atomic");
  WEFT_CHECK(place != Place::kNone) << "a static Atomic cannot be checked: make it part of the program";
  return checker;
}

}  // namespace

void Retire(Place place) noexcept { AtPlace(place).Retire(Index(place)); }

Place Create(uint64_t value, Where where) noexcept {
  return static_cast<Place>(Checker::Running("an Atomic").NewPlace(value, where) + 1);
}
uint64_t Load(Place place, Order order, Where where) noexcept {
  return AtPlace(place).Load(Index(place), order, where);
}
void Store(Place place, uint64_t value, Order order, Where where) noexcept {
  AtPlace(place).Store(Index(place), value, order, where);
}
uint64_t Modify(Place place, Update update, uint64_t operand, uint64_t mask, Order order, Where where) noexcept {
  return AtPlace(place).Modify(Index(place), update, operand, mask, order, where);
}
bool CompareExchange(Place place, uint64_t& expected, uint64_t desired, bool weak, Order success, Order failure,
                     Where where) noexcept {
  return AtPlace(place).CompareExchange(Index(place), expected, desired, weak, success, failure, where);
}
void StoreLoadFence(Order order, Where where) noexcept { Checker::Running("a fence").FenceStep("fence", order, where); }
void LightFence(Order order, Where where) noexcept { Checker::Running("a fence").LightFence(order, where); }
void HeavyFence(Order order, Where where) noexcept { Checker::Running("a fence").HeavyFence(order, where); }
void Relax(Where where) noexcept { Checker::Running("CpuRelax()").Relax(where); }

}  // namespace weft::internal::model

// ---- The futex of the model: see lib/os/futex.h.

namespace weft::internal {

FutexOutcome FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  return model::Checker::Running("a futex").Wait(model::Index(word.place()), expected, deadline_ns != kNoDeadlineNs);
}

void FutexWake(Atomic<uint32_t>& word, int count) noexcept {
  model::Checker::Running("a futex").WakeUp(model::Index(word.place()), count);
}

}  // namespace weft::internal
