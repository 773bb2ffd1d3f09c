// What code under the checker calls: the seam (lib/testing/model/model_atomic.h, lib/os/futex.h), and what is there for
// programs (checker.h). Each operation is a step of the running execution.
#include <bit>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "lib/testing/model/choices.h"
#include "lib/testing/model/execution.h"
#include "lib/testing/model/memory.h"
#include "lib/testing/model/model_atomic.h"
#include "lib/testing/model/search.h"
#include "lib/testing/model/sites.h"
#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

std::string ValueText(uint64_t value) {
  return value < 1'000'000 ? absl::StrCat(value) : absl::StrCat("0x", absl::Hex(value));
}

}  // namespace

// ---- Atomics.

void Execution::LoadStep(int place, Order order) {
  if (actor_ == kFrame) return;
  const bool is_private = order != Order::seq_cst && !search_.IsWrittenByOthers(actor_, place);
  is_private ? PrivateStep() : Step();
}

void Execution::StoreStep(int place, Order order) {
  if (actor_ == kFrame) return;
  const bool is_private = order != Order::seq_cst && !search_.IsUsedByOthers(actor_, place);
  is_private ? PrivateStep() : Step();
}

void Execution::NoteUse(int place, bool writes) {
  if (actor_ != kFrame) search_.NoteUse(actor_, place, writes);
}

int Execution::NewPlace(uint64_t value, Where where) {
  const int place = memory_.Create(thread(), value);
  if (tracing_ && actor_ != kFrame) Trace(absl::StrCat("creates #", place, " = ", ValueText(value)), where);
  return place;
}

uint64_t Execution::Load(int place, Order order, Where where) {
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

void Execution::Store(int place, uint64_t value, Order order, Where where) {
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

uint64_t Execution::Modify(int place, Update update, uint64_t operand, uint64_t mask, Order order, Where where) {
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

bool Execution::CompareExchange(int place, uint64_t& expected, uint64_t desired, bool weak, Order success,
                                Order failure, Where where) {
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

// ---- Fences, waiting, and what a program asks for.

void Execution::FenceStep(const char* name, Order order, Where where) {
  Step();
  memory_.Fence(thread(), order);
  memory_.Note(actor_, 0);
  if (tracing_) Trace(absl::StrCat(name, " ", OrderName(order)), where);
  Site::latest = nullptr;
}

// Weakened, it is not there.
void Execution::LightFence(Order order, Where where) {
  if (tracing_) Trace(absl::StrCat("light fence ", OrderName(order)), where);
  Site::latest = nullptr;
  if (order == Order::seq_cst && actor_ != kFrame) memory_.LightFence(actor_);
}

// Weakened, it fences its own thread only.
void Execution::HeavyFence(Order order, Where where) {
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

void Execution::Relax(Where where) {
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
FutexOutcome Execution::Wait(int place, uint32_t expected, bool timed) {
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
  ActorOf(self).sleep = timed ? Sleep::kTimed : Sleep::kForever;
  ActorOf(self).sleeps_on = place;
  if (tracing_) Trace(absl::StrFormat("sleeps on #%d == %u", place, expected), Where());
  GiveWay();
  const Awoken awoken = ActorOf(self).awoken;
  if (tracing_) {
    Trace(awoken == Awoken::kTimedOut   ? "its sleep ends in time"
          : awoken == Awoken::kSpurious ? "wakes for no reason"
                                        : "wakes",
          Where());
  }
  return awoken == Awoken::kTimedOut ? FutexOutcome::kTimedOut : FutexOutcome::kWoken;
}

void Execution::WakeUp(int place, int count) {
  if (actor_ == kFrame) return;
  Step();
  memory_.LightFence(actor_);
  memory_.Note(actor_, 0);
  Mask sleepers = 0;
  for (Mask left = asleep_; left != 0; left &= left - 1) {
    const int i = std::countr_zero(left);
    if (ActorOf(i).sleeps_on == place) sleepers |= Bit(i);
  }
  if (tracing_) Trace(absl::StrFormat("futex wake #%d: %d asleep", place, std::popcount(sleepers)), Where());
  for (; count > 0 && sleepers != 0; --count) {
    const int woken = NthOf(sleepers, count >= std::popcount(sleepers) ? 0 : choices_.Choose(std::popcount(sleepers)));
    Rouse(woken, Awoken::kRung);
    memory_.Note(actor_, static_cast<uint64_t>(woken));
    sleepers &= ~Bit(woken);
  }
}

int Execution::Choose(int count) {
  const int chosen = choices_.Choose(count);
  memory_.Note(actor_, static_cast<uint64_t>(chosen));
  if (tracing_ && count > 1) Trace(absl::StrFormat("chooses %d of %d", chosen, count), Where());
  return chosen;
}

// ---- For programs.

void Violate(const char* format, ...) noexcept {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  Execution::Running("a violation").Fail(text);
}

bool InExecution() noexcept { return Execution::IsUnderWay(); }

void Require(bool holds, const char* sentence) noexcept {
  if (!holds) Execution::Running("Require()").Fail(sentence);
}
int Choose(int count) noexcept { return Execution::Running("Choose()").Choose(count); }
int NewCell() noexcept { return Execution::Running("a Cell").NewCell(); }
void ReadCell(int cell) noexcept { Execution::Running("a Cell").ReadCell(cell); }
void WriteCell(int cell) noexcept { Execution::Running("a Cell").WriteCell(cell); }

// ---- The seam: see lib/testing/model/model_atomic.h. 0 is no place.

namespace {

int Index(Place place) { return static_cast<int>(place) - 1; }

Execution& AtPlace(Place place) {
  Execution& execution = Execution::Running("an Atomic");
  WEFT_CHECK(place != Place::kNone) << "a static Atomic cannot be checked: make it part of the program";
  return execution;
}

}  // namespace

void Retire(Place place) noexcept { AtPlace(place).Retire(Index(place)); }

Place Create(uint64_t value, Where where) noexcept {
  return static_cast<Place>(Execution::Running("an Atomic").NewPlace(value, where) + 1);
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
void StoreLoadFence(Order order, Where where) noexcept {
  Execution::Running("a fence").FenceStep("fence", order, where);
}
void LightFence(Order order, Where where) noexcept { Execution::Running("a fence").LightFence(order, where); }
void HeavyFence(Order order, Where where) noexcept { Execution::Running("a fence").HeavyFence(order, where); }
void Relax(Where where) noexcept { Execution::Running("CpuRelax()").Relax(where); }

}  // namespace weft::internal::model

// ---- The futex of the model: see lib/os/futex.h.

namespace weft::internal {

FutexOutcome FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  return model::Execution::Running("a futex").Wait(model::Index(word.place()), expected, deadline_ns != kNoDeadlineNs);
}

FutexOutcome AwaitWord(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  return FutexWait(word, expected, deadline_ns);
}

void FutexWake(Atomic<uint32_t>& word, int count) noexcept {
  model::Execution::Running("a futex").WakeUp(model::Index(word.place()), count);
}

}  // namespace weft::internal
