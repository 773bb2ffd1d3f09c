// Row L1 for the locks that are more than one permit: a semaphore of several at once, a recursive and a shared mutex, a
// condition. (harness.h)
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/sync/condition_variable.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

constexpr Answer kNothingToDo = -1;  // the call makes no sense now
constexpr Answer kNo = 0, kYes = 1;

// So many permits, and calls that want `argument` of them: first come, first served, and nobody is overtaken, except by
// those behind one that wants more than there are.
class PermitModel : public WaitingCalls {
 public:
  explicit PermitModel(int64_t permits) : permits_(permits), available_(permits) {}

  // The first that is in the way.
  const Waiting* First() const {
    const auto first = std::ranges::find_if(all(), [this](const Waiting& w) { return w.call.argument <= permits_; });
    return first == all().end() ? nullptr : &*first;
  }
  std::optional<Answer> Acquire(int thread, Call call, bool waits) {
    if (First() != nullptr || call.argument > available_) return waits ? std::optional<Answer>(Add(thread, call)) : kNo;
    Take(thread, call.argument);
    return kYes;
  }
  using WaitingCalls::Take;
  void Take(int thread, int64_t permits) {
    available_ -= permits;
    held_[thread].push_back(permits);
  }
  void ReleaseLast(int thread, int64_t all_but = 0) {
    available_ += held_[thread].back() - all_but;
    held_[thread].pop_back();
    if (all_but > 0) held_[thread].push_back(all_but);
    Grant();
  }
  bool Withdraw(int thread) {
    if (!WaitingCalls::Withdraw(thread)) return false;
    Grant();  // it may have been in the way
    return true;
  }
  Answer LeaveAll(int thread) {
    while (holds(thread)) ReleaseLast(thread);
    return kNo;
  }
  bool holds(int thread) const { return !held_[thread].empty(); }
  int64_t last(int thread) const { return held_[thread].back(); }
  int64_t available() const { return available_; }

  bool operator==(const PermitModel&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const PermitModel& m) {
    return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.available_, m.held_);
  }

 private:
  void Grant() {
    while (First() != nullptr && First()->call.argument <= available_) {
      const Waiting next = *First();
      Take(next.thread, next.call.argument);
      Give(next.thread, kYes);
    }
  }
  int64_t permits_;
  int64_t available_;
  PerThread<std::vector<int64_t>> held_;
};

struct ManyPermitsRow {
  static constexpr std::string_view kName = "Semaphore of several at once";
  enum Kind { kAcquire, kTryAcquire, kRelease, kDrain, kAvailable };
  static std::string NameOf(Call call) {
    return absl::StrCat(std::array{"Acquire", "TryAcquire", "Release", "Drain", "available"}[call.kind], " ",
                        call.argument);
  }
  static Call Draw(Dice& dice, int64_t) {
    const int kind = std::array{kAcquire, kAcquire, kAcquire, kRelease, kRelease, kTryAcquire, kDrain,
                                kAvailable}[dice.Roll(8)];
    return {kind, kind == kAcquire || kind == kTryAcquire ? dice.Roll(4) : 0};
  }
  static std::vector<Call> Epilogue() { return {{kAvailable}, {kTryAcquire, 1}}; }
  static int64_t PermitsOf(int64_t variant) { return 1 + variant % 3; }

  class Object {
   public:
    explicit Object(int64_t variant) : semaphore_(PermitsOf(variant)) {}
    Task<Answer> Make(int thread, Call call) {
      std::vector<Permit>& held = held_[thread];
      switch (call.kind) {
        case kAcquire:
          held.push_back(co_await semaphore_.Acquire(call.argument));
          co_return kYes;
        case kTryAcquire: {
          std::optional<Permit> got = semaphore_.TryAcquire(call.argument);
          if (!got.has_value()) co_return kNo;
          held.push_back(*std::move(got));
          co_return kYes;
        }
        case kRelease:
          if (held.empty()) co_return kNothingToDo;
          held.pop_back();
          co_return kYes;
        case kDrain:
          held.push_back(semaphore_.Drain());
          co_return held.back().permits();
        default:
          co_return semaphore_.available();
      }
    }
    void Leave(int thread) {
      while (!held_[thread].empty()) held_[thread].pop_back();
    }

   private:
    Semaphore semaphore_;
    PerThread<std::vector<Permit>> held_;
  };

  class Model : public PermitModel {
   public:
    explicit Model(int64_t variant) : PermitModel(PermitsOf(variant)) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kAvailable:
          return available();
        case kRelease:
          if (!holds(thread)) return kNothingToDo;
          ReleaseLast(thread);
          return kYes;
        case kDrain: {
          const int64_t taken = First() == nullptr ? available() : 0;
          PermitModel::Take(thread, taken);
          return taken;
        }
        case kLeave:
          return LeaveAll(thread);
        default:
          return Acquire(thread, call, call.kind == kAcquire);
      }
    }
  };
};

struct SharedMutexRow {
  static constexpr std::string_view kName = "SharedMutex";
  static constexpr int64_t kAll = 100;
  enum Kind { kLock, kTryLock, kUnlock, kDowngrade };  // kLock and kTryLock of 1: to read
  static std::string NameOf(Call call) {
    return absl::StrCat(std::array{"Lock", "TryLock", "Unlock", "Downgrade"}[call.kind],
                        call.argument == 1 ? "Shared" : "");
  }
  static Call Draw(Dice& dice, int64_t) {
    const int kind = std::array{kLock, kLock, kLock, kUnlock, kUnlock, kTryLock, kDowngrade}[dice.Roll(7)];
    return {kind, kind == kLock || kind == kTryLock ? std::array<int64_t, 2>{1, kAll}[dice.Roll(2)] : 0};
  }
  static std::vector<Call> Epilogue() { return {{kTryLock, kAll}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int thread, Call call) {
      Held& held = held_[thread];
      const bool holds = held.writes.has_value() || held.reads.has_value();
      switch (call.kind) {
        case kUnlock:
          if (!holds) co_return kNothingToDo;
          Leave(thread);
          co_return kYes;
        case kDowngrade:
          if (!held.writes.has_value()) co_return kNothingToDo;
          held.reads = (*std::move(held.writes)).Downgrade();
          held.writes.reset();
          co_return kYes;
        default:
          break;
      }
      if (holds) co_return kNothingToDo;
      if (call.kind == kLock && call.argument == 1) held.reads = co_await mutex_.LockShared();
      if (call.kind == kLock && call.argument != 1) held.writes = co_await mutex_.Lock();
      if (call.kind == kTryLock && call.argument == 1) held.reads = mutex_.TryLockShared();
      if (call.kind == kTryLock && call.argument != 1) held.writes = mutex_.TryLock();
      co_return held.writes.has_value() || held.reads.has_value() ? kYes : kNo;
    }
    void Leave(int thread) {
      held_[thread].writes.reset();
      held_[thread].reads.reset();
    }

   private:
    struct Held {
      std::optional<WriterGuard> writes;
      std::optional<ReaderGuard> reads;
    };
    SharedMutex mutex_;
    PerThread<Held> held_;
  };

  class Model : public PermitModel {
   public:
    explicit Model(int64_t) : PermitModel(kAll) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kUnlock:
          if (!holds(thread)) return kNothingToDo;
          ReleaseLast(thread);
          return kYes;
        case kDowngrade:
          if (!holds(thread) || last(thread) != kAll) return kNothingToDo;
          ReleaseLast(thread, /*all_but=*/1);
          return kYes;
        case kLeave:
          return LeaveAll(thread);
        default:
          return holds(thread) ? kNothingToDo : Acquire(thread, call, call.kind == kLock);
      }
    }
  };
};

struct RecursiveMutexRow {
  static constexpr std::string_view kName = "RecursiveMutex";
  enum Kind { kLock, kTryLock, kUnlock, kHoldCount };
  static std::string NameOf(Call call) { return std::array{"Lock", "TryLock", "Unlock", "HoldCount"}[call.kind]; }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kLock, kLock, kLock, kUnlock, kUnlock, kTryLock, kHoldCount}[dice.Roll(7)]};
  }
  static std::vector<Call> Epilogue() { return {{kHoldCount}, {kTryLock}, {kHoldCount}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int thread, Call call) {
      std::vector<RecursiveMutexGuard>& guards = guards_[thread];
      switch (call.kind) {
        case kLock:
          guards.push_back(co_await mutex_.Lock());
          co_return kYes;
        case kTryLock: {
          std::optional<RecursiveMutexGuard> got = mutex_.TryLock();
          if (!got.has_value()) co_return kNo;
          guards.push_back(*std::move(got));
          co_return kYes;
        }
        case kUnlock:
          if (guards.empty()) co_return kNothingToDo;
          guards.pop_back();
          co_return kYes;
        default:
          co_return mutex_.HoldCount();
      }
    }
    void Leave(int thread) { guards_[thread].clear(); }

   private:
    RecursiveMutex mutex_;
    PerThread<std::vector<RecursiveMutexGuard>> guards_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      const bool mine = holder_ == thread;
      switch (call.kind) {
        case kHoldCount:
          return mine ? holds_ : 0;
        case kUnlock:
          if (!mine) return kNothingToDo;
          if (--holds_ == 0) HandOver();
          return kYes;
        case kLeave:
          if (mine) HandOver();
          return kNo;
        default:
          break;
      }
      if (!mine && holder_ != kNobody) return call.kind == kTryLock ? std::optional<Answer>(kNo) : Add(thread, call);
      holds_ = mine ? holds_ + 1 : 1;
      holder_ = thread;
      return kYes;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.holder_, m.holds_);
    }

   private:
    static constexpr int kNobody = -1;
    void HandOver() {
      holder_ = empty() ? kNobody : front().thread;
      holds_ = empty() ? 0 : 1;
      if (holder_ != kNobody) Give(holder_, kYes);
    }
    int holder_ = kNobody;
    int64_t holds_ = 0;
  };
};

// A wait ends when it is notified and has the lock again, or cancelled and has the lock again. A cancelled one goes to
// the lock's queue at a moment of its own: that is an event that each wait may have.
struct ConditionRow {
  static constexpr std::string_view kName = "ConditionVariable";
  enum Kind { kLock, kUnlock, kWait, kNotifyOne, kNotifyAll, kGivesUp };
  static std::string NameOf(Call call) {
    return std::array{"Lock", "Unlock", "Wait", "NotifyOne", "NotifyAll", "gives up"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kLock, kLock, kLock, kUnlock, kWait, kWait, kWait, kNotifyOne, kNotifyAll}[dice.Roll(9)]};
  }
  static std::vector<Call> Epilogue() { return {{kNotifyAll}, {kLock}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int thread, Call call) {
      std::optional<MutexGuard>& guard = guards_[thread];
      switch (call.kind) {
        case kLock:
          if (guard.has_value()) co_return kNothingToDo;
          guard = co_await mutex_.Lock();
          co_return kYes;
        case kUnlock:
          if (!guard.has_value()) co_return kNothingToDo;
          guard.reset();
          co_return kYes;
        case kWait:
          if (!guard.has_value()) co_return kNothingToDo;
          history_->AddOwn({kGivesUp, thread});
          co_await condition_.Wait(*guard);
          co_return kYes;
        case kNotifyOne:
          condition_.NotifyOne();
          co_return kYes;
        default:
          condition_.NotifyAll();
          co_return kYes;
      }
    }
    void Leave(int thread) { guards_[thread].reset(); }

   private:
    History* history_ = nullptr;
    Mutex mutex_;
    ConditionVariable condition_;
    PerThread<std::optional<MutexGuard>> guards_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      const bool mine = holder_ == thread;
      switch (call.kind) {
        case kLock:
          if (mine) return kNothingToDo;
          if (holder_ != kNobody) {
            for_lock_.push_back(thread);
            return Add(thread, call);
          }
          holder_ = thread;
          return kYes;
        case kUnlock:
          if (!mine) return kNothingToDo;
          HandOver();
          return kYes;
        case kWait:
          if (!mine) return kNothingToDo;
          for_condition_.push_back(thread);
          HandOver();
          return Add(thread, call);
        case kNotifyOne:
        case kNotifyAll:
          for (size_t left = call.kind == kNotifyOne ? 1 : kAll; left > 0 && !for_condition_.empty(); --left) {
            for_lock_.push_back(for_condition_.front());
            for_condition_.erase(for_condition_.begin());
          }
          if (holder_ == kNobody) HandOver();
          return kYes;
        case kGivesUp: {
          const int who = static_cast<int>(call.argument);
          if (std::erase(for_condition_, who) == 0) return std::nullopt;
          for_lock_.push_back(who);
          given_up_.push_back(who);
          if (holder_ == kNobody) HandOver();
          return kNo;
        }
        default:  // kLeave
          if (mine) HandOver();
          return kNo;
      }
    }
    // A wait for the condition is over when it has given up, and has the lock.
    bool Withdraw(int thread) {
      const bool gave_up = std::erase(given_up_, thread) > 0;
      if (gave_up ? holder_ != thread : std::erase(for_lock_, thread) == 0) return false;
      return WaitingCalls::Withdraw(thread);
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.holder_, m.for_lock_, m.for_condition_,
                        m.given_up_);
    }

   private:
    static constexpr int kNobody = -1;
    static constexpr size_t kAll = 100;
    void HandOver() {
      holder_ = kNobody;
      if (for_lock_.empty()) return;
      holder_ = for_lock_.front();
      for_lock_.erase(for_lock_.begin());
      if (std::find(given_up_.begin(), given_up_.end(), holder_) == given_up_.end()) Give(holder_, kYes);
    }
    int holder_ = kNobody;
    std::vector<int> for_lock_, for_condition_;  // first come, first served
    std::vector<int> given_up_;                  // those of for_lock_, and perhaps the holder, that were cancelled
  };
};

TEST(LinearizabilityTest, SeveralPermitsAreGrantedTogetherAndInTurn) { ProveLinearizable<ManyPermitsRow>(); }
TEST(LinearizabilityTest, ASharedMutexIsLockedInTurnByReadersAndWriters) { ProveLinearizable<SharedMutexRow>(); }
TEST(LinearizabilityTest, ARecursiveMutexIsLockedAgainByItsHolderOnly) { ProveLinearizable<RecursiveMutexRow>(); }
TEST(LinearizabilityTest, AWaitForAConditionEndsWithTheLockAndNoSignalIsLost) { ProveLinearizable<ConditionRow>(); }

}  // namespace
}  // namespace weft::testing
