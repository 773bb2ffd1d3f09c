// Row L1 for what virtual threads wait in: mutex, semaphore, event. (harness.h) First, whether the harness can fail:
// histories that are wrong, and semaphores with a fault each.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/cancellation.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr Answer kNothingToDo = -1;  // the call makes no sense now
constexpr Answer kNo = 0, kYes = 1;

struct MutexRow {
  static constexpr std::string_view kName = "Mutex";
  enum Kind { kLock, kTryLock, kUnlock };
  static std::string NameOf(Call call) { return std::array{"Lock", "TryLock", "Unlock"}[call.kind]; }
  static Call Draw(Dice& dice, int64_t) { return {std::array{kLock, kLock, kUnlock, kTryLock}[dice.Roll(4)]}; }
  static std::vector<Call> Epilogue() { return {{kTryLock}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int thread, Call call) {
      std::optional<MutexGuard>& guard = guards_[thread];
      if (guard.has_value() != (call.kind == kUnlock)) co_return kNothingToDo;
      if (call.kind == kLock) guard = co_await mutex_.Lock();
      if (call.kind == kTryLock) guard = mutex_.TryLock();
      if (call.kind == kUnlock) guard.reset();
      co_return guard.has_value() ? kYes : kNo;
    }
    void Leave(int thread) { guards_[thread].reset(); }

   private:
    Mutex mutex_;
    PerThread<std::optional<MutexGuard>> guards_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      const bool mine = holder_ == thread;
      if (call.kind == kLeave || (call.kind == kUnlock && mine)) {
        if (mine) HandOver();
        return kNo;
      }
      if (mine || call.kind == kUnlock) return kNothingToDo;
      if (holder_ != kNobody) return call.kind == kTryLock ? std::optional<Answer>(kNo) : Add(thread, call);
      holder_ = thread;
      return kYes;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.holder_);
    }

   private:
    static constexpr int kNobody = -1;
    void HandOver() {
      holder_ = empty() ? kNobody : front().thread;
      if (holder_ != kNobody) Give(holder_, kYes);
    }
    int holder_ = kNobody;
  };
};

struct SemaphoreRow {
  static constexpr std::string_view kName = "Semaphore";
  enum Kind { kAcquire, kTryAcquire, kRelease, kAvailable };
  static std::string NameOf(Call call) {
    return std::array{"Acquire", "TryAcquire", "Release", "available"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kAcquire, kAcquire, kAcquire, kRelease, kTryAcquire, kAvailable}[dice.Roll(6)]};
  }
  static std::vector<Call> Epilogue() { return {{kAvailable}, {kTryAcquire}}; }
  static int64_t PermitsOf(int64_t variant) { return variant % 3; }

  class Object {
   public:
    explicit Object(int64_t variant) : semaphore_(PermitsOf(variant)) {}
    Task<Answer> Make(int thread, Call call) {
      std::vector<Permit>& held = held_[thread];
      if (call.kind == kAvailable) co_return semaphore_.available();
      if (call.kind == kAcquire) held.push_back(co_await semaphore_.Acquire());
      if (call.kind == kTryAcquire) {
        std::optional<Permit> got = semaphore_.TryAcquire();
        if (!got.has_value()) co_return kNo;
        held.push_back(*std::move(got));
      }
      if (call.kind == kRelease) {
        if (held.empty()) co_return kNothingToDo;
        held.pop_back();
      }
      co_return kYes;
    }
    void Leave(int thread) { held_[thread].clear(); }

   private:
    Semaphore semaphore_;
    PerThread<std::vector<Permit>> held_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant) : available_(PermitsOf(variant)) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kAvailable:
          return available_;
        case kRelease:
          if (held_[thread] == 0) return kNothingToDo;
          Release(thread);
          return kYes;
        case kLeave:
          while (held_[thread] > 0) Release(thread);
          return kNo;
        default:
          break;
      }
      if (available_ == 0) return call.kind == kTryAcquire ? std::optional<Answer>(kNo) : Add(thread, call);
      --available_;
      ++held_[thread];
      return kYes;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.available_, m.held_);
    }

   private:
    void Release(int thread) {
      --held_[thread];
      if (empty()) {
        ++available_;
        return;
      }
      ++held_[front().thread];
      Give(front().thread, kYes);
    }
    int64_t available_;
    PerThread<int64_t> held_ = {};
  };
};

struct EventRow {
  static constexpr std::string_view kName = "Event";
  enum Kind { kWait, kSet, kReset, kIsSet };
  static std::string NameOf(Call call) { return std::array{"Wait", "Set", "Reset", "IsSet"}[call.kind]; }
  static Call Draw(Dice& dice, int64_t) { return {std::array{kWait, kWait, kSet, kReset, kIsSet}[dice.Roll(5)]}; }
  static std::vector<Call> Epilogue() { return {{kIsSet}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int, Call call) {
      if (call.kind == kWait) co_await event_.Wait();
      if (call.kind == kSet) event_.Set();
      if (call.kind == kReset) event_.Reset();
      if (call.kind != kIsSet) co_return kNo;
      co_return event_.IsSet() ? kYes : kNo;
    }
    void Leave(int) {}

   private:
    Event event_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      if (call.kind == kIsSet) return set_ ? kYes : kNo;
      if (call.kind == kWait && !set_) return Add(thread, call);
      if (call.kind == kSet || call.kind == kReset) set_ = call.kind == kSet;
      while (set_ && !empty()) Give(front().thread, kNo);
      return kNo;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.set_);
    }

   private:
    bool set_ = false;
  };
};

// ---- The search.

// A register that answers a read with what was written last, and a wait for a value when that is written.
class Register : public WaitingCalls {
 public:
  enum Kind { kRead, kWrite, kAwait };
  std::optional<Answer> Begin(int thread, Call call) {
    if (call.kind == kAwait) return call.argument == value_ ? std::optional<Answer>(kYes) : Add(thread, call);
    if (call.kind == kRead) return value_;
    value_ = call.argument;
    while (!empty() && front().call.argument == value_) Give(front().thread, kYes);
    return kYes;
  }
  bool operator==(const Register&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Register& r) {
    return H::combine(std::move(h), static_cast<const WaitingCalls&>(r), r.value_);
  }

 private:
  int64_t value_ = 0;
};

Operation Answered(int thread, Call call, Answer answer, int64_t invoked, int64_t ended) {
  return {.thread = thread,
          .call = call,
          .invoked = invoked,
          .ended = ended,
          .end = Operation::End::kAnswered,
          .answer = answer};
}
Operation Cancelled(int thread, Call call, int64_t invoked, int64_t asked, int64_t ended) {
  return {.thread = thread,
          .call = call,
          .invoked = invoked,
          .cancel_asked = asked,
          .ended = ended,
          .end = Operation::End::kCancelled};
}
bool Linearizable(const std::vector<Operation>& history) { return Search<Register>::Linearizable(history, Register()); }

TEST(LinearizabilitySearchTest, CallsThatOverlapMayHaveComeInAnyOrder) {
  const Operation write = Answered(0, {Register::kWrite, 7}, kYes, 1, 4);
  EXPECT_TRUE(Linearizable({write, Answered(1, {Register::kRead}, 7, 2, 3)}));
  EXPECT_TRUE(Linearizable({write, Answered(1, {Register::kRead}, 0, 2, 3)}));
  // The first read has seen it, so the second one has to.
  EXPECT_FALSE(Linearizable({write, Answered(1, {Register::kRead}, 7, 2, 3), Answered(1, {Register::kRead}, 0, 5, 6)}));
  EXPECT_FALSE(Linearizable({write, Answered(1, {Register::kRead}, 8, 2, 3)}));
}

TEST(LinearizabilitySearchTest, OneCallAfterAnotherSeesIt) {
  const Operation write = Answered(0, {Register::kWrite, 7}, kYes, 1, 2);
  EXPECT_TRUE(Linearizable({write, Answered(1, {Register::kRead}, 7, 3, 4)}));
  EXPECT_FALSE(Linearizable({write, Answered(1, {Register::kRead}, 0, 3, 4)}));
}

TEST(LinearizabilitySearchTest, ACallThatWasCancelledHasDoneNothing) {
  EXPECT_TRUE(
      Linearizable({Cancelled(0, {Register::kAwait, 7}, 1, 2, 3), Answered(1, {Register::kWrite, 7}, kYes, 4, 5)}));
  EXPECT_FALSE(Linearizable({Cancelled(0, {Register::kWrite, 7}, 1, 2, 3), Answered(1, {Register::kRead}, 7, 4, 5)}));
}

TEST(LinearizabilitySearchTest, AWaitIsCancelledOnlyIfItWasAskedToEndAndBeforeItIsAnswered) {
  const Operation write = Answered(1, {Register::kWrite, 7}, kYes, 2, 3);
  EXPECT_FALSE(Linearizable({Cancelled(0, {Register::kAwait, 7}, 1, Operation::kNever, 3)}));
  Operation wait = Cancelled(0, {Register::kAwait, 7}, 1, 4, 5);
  EXPECT_TRUE(Linearizable({wait, write}));  // it may not have been registered
  wait.registered = 2;
  EXPECT_FALSE(Linearizable({wait, write}));  // the wake-up is lost
  wait.cancel_asked = 2;
  EXPECT_TRUE(Linearizable({wait, write}));
}

TEST(LinearizabilitySearchTest, WhatMayHappenByItselfNeedNot) {
  const Operation own = {.thread = -1, .call = {Register::kWrite, 7}, .invoked = 3};
  EXPECT_TRUE(Linearizable({own, Answered(0, {Register::kRead}, 0, 4, 5), Answered(0, {Register::kRead}, 7, 6, 7)}));
  EXPECT_FALSE(Linearizable({own, Answered(0, {Register::kRead}, 7, 1, 2)}));
}

// ---- Semaphores with a fault.

enum class Fault {
  kNone,
  kServesTheLastFirst,
  kLetsOthersIn,         // what is released is free until the waiter has come for it
  kWakesTooFew,          // of several waiters, the others are forgotten
  kKeepsTheCancelled,    // in the queue: they are granted permits
  kLosesWhatWasGranted,  // to one that is cancelled at that moment
  kReadsAndThenWrites,   // with a switch in between
};

template <Fault kFault>
class FaultySemaphore {
 public:
  explicit FaultySemaphore(int64_t permits) : free_(permits) {}

  Task<void> Acquire() {
    if (free_ > 0) co_return co_await Take();
    Waiter waiter(*this);
    co_await waiter.granted->Wait();
    waiter.taken = true;
    if (kFault == Fault::kLetsOthersIn) --free_;
  }
  Task<bool> TryAcquire() {
    if (free_ <= 0) co_return false;
    co_await Take();
    co_return true;
  }
  void Release() {
    const bool forget = kFault == Fault::kWakesTooFew && queue_.size() > 1;
    if (queue_.empty() || kFault == Fault::kLetsOthersIn || forget) ++free_;
    if (queue_.empty() || forget) return;
    const bool last = kFault == Fault::kServesTheLastFirst;
    const std::shared_ptr<Event> next = last ? queue_.back() : queue_.front();
    last ? queue_.pop_back() : queue_.pop_front();
    next->Set();
  }
  int64_t available() const { return free_; }

 private:
  struct Waiter {
    explicit Waiter(FaultySemaphore& semaphore) : of(semaphore) { of.queue_.push_back(granted); }
    ~Waiter() {
      if (taken || kFault == Fault::kKeepsTheCancelled || std::erase(of.queue_, granted) > 0) return;
      if (kFault != Fault::kLosesWhatWasGranted) of.Release();
    }
    FaultySemaphore& of;
    bool taken = false;
    const std::shared_ptr<Event> granted = std::make_shared<Event>();
  };

  Task<void> Take() {
    const int64_t before = free_;
    if (kFault == Fault::kReadsAndThenWrites) co_await Shield(YieldOnce());
    free_ = before - 1;
  }
  static Task<void> YieldOnce() { co_await Yield(); }

  int64_t free_;
  std::deque<std::shared_ptr<Event>> queue_;
};

template <Fault kFault>
struct FaultyRow : SemaphoreRow {
  class Object {
   public:
    explicit Object(int64_t variant) : semaphore_(PermitsOf(variant)) {}
    Task<Answer> Make(int thread, Call call) {
      if (call.kind == kAvailable) co_return semaphore_.available();
      if (call.kind == kAcquire) co_await semaphore_.Acquire();
      if (call.kind == kTryAcquire && !co_await semaphore_.TryAcquire()) co_return kNo;
      if (call.kind == kRelease) {
        if (held_[thread] == 0) co_return kNothingToDo;
        semaphore_.Release();
      }
      held_[thread] += call.kind == kRelease ? -1 : 1;
      co_return kYes;
    }
    void Leave(int thread) {
      for (; held_[thread] > 0; --held_[thread]) semaphore_.Release();
    }

   private:
    FaultySemaphore<kFault> semaphore_;
    PerThread<int64_t> held_ = {};
  };
};

// In a hundredth of what is tried of a semaphore that should have none.
template <Fault kFault>
std::string Found() {
  return FindViolation<FaultyRow<kFault>>(kScenarios, 1);
}

TEST(LinearizabilityHarnessTest, FindsTheFaultOfASemaphoreAndNoneWhereThereIsNone) {
  EXPECT_EQ(Found<Fault::kNone>(), "");
  EXPECT_NE(Found<Fault::kServesTheLastFirst>(), "");
  EXPECT_NE(Found<Fault::kLetsOthersIn>(), "");
  EXPECT_NE(Found<Fault::kWakesTooFew>(), "");
  EXPECT_NE(Found<Fault::kKeepsTheCancelled>(), "");
  EXPECT_NE(Found<Fault::kLosesWhatWasGranted>(), "");
  EXPECT_NE(Found<Fault::kReadsAndThenWrites>(), "");
}

// ---- The objects.

TEST(LinearizabilityTest, AMutexIsLockedInTurnAndACancelledLockLeavesNoTrace) { ProveLinearizable<MutexRow>(); }
TEST(LinearizabilityTest, PermitsOfASemaphoreAreGrantedInTurnAndNoneIsLost) { ProveLinearizable<SemaphoreRow>(); }
TEST(LinearizabilityTest, AnEventThatIsSetWakesAllWhoWaited) { ProveLinearizable<EventRow>(); }

}  // namespace
}  // namespace weft::testing
