// Locks of all kinds, and conditions. Goal: what a lock guards is one holder's at a time; nobody waits for what is
// there; no permit and no signal is lost; a wait for a condition ends with the lock; whoever is cancelled or an OS
// thread.
// Method: threads that lock, wait, notify and cancel, one call each, on the code as it is shipped. What is guarded is a
// Cell: two holders at a time, or a hand-over that is not ordered, are a violation.
#include "lib/sync/lock_state.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>

#include "lib/sync/condition_state.h"
#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "tests/model/parking_thread.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// Which locks are wanted is for the drain (drain_test.cc).
void ListWanted(HeldLock&) noexcept {}
void UnlistWanted(HeldLock&) noexcept {}
ThreadKey OsThreadKey() noexcept {
  static const char here = 0;
  return {&here, 0};
}

namespace {

using model::Cell;
using model::Require;

enum class Call {
  kLock,          // so many permits, and gives them back
  kWait,          // with the lock, until there is a signal, which it takes
  kNotify,        // with the lock: makes a signal, and notifies one
  kNotifyAll,     // the same, and notifies all
  kLateNotify,    // the same, and notifies one when it has given the lock back
  kCancel,        // the first thread
  kNotifyCancel,  // kLateNotify, then kCancel
  kCancelNotify,  // the other way round
};
struct Act {
  Call call;
  int64_t permits = 1;
  bool os = false;  // by an OS thread
};

class Waiter;
using Steps = LockSteps<Waiter>;
using Conditions = ConditionSteps<Waiter>;

struct World {
  explicit World(int64_t permits) : lock(LockKind::kSharedMutex, permits) {}

  // With so many permits.
  void Enter(int64_t permits) {
    if (permits == lock.permits) {
      guarded.Set(guarded.Get() + 1);
    } else {
      static_cast<void>(guarded.Get());
    }
  }
  void Leave(int64_t permits) { Steps::Give(lock, permits); }
  bool TakeSignal() {
    if (signals.Get() == 0) return false;
    signals.Set(signals.Get() - 1);
    return true;
  }
  void Notify(Call call) {
    LockHolder holder;
    static_cast<void>(Conditions::Notify(condition, call == Call::kNotifyAll ? INT64_MAX : 1, holder));
  }

  LockState<Waiter> lock;
  ConditionState<Waiter> condition;
  Cell<int> guarded{0};  // written by whoever has all permits, read by whoever has some
  Cell<int> signals{0};  // guarded by the whole lock
};

// A thread that calls once.
class Waiter : public model::ParkingThread<Waiter> {
 public:
  void Set(World& world, const Act& act, uint64_t number) {
    world_ = &world;
    act_ = act;
    id = number;
  }

  void Run() {
    if (act_.os) return RunOnOsThread();
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) return End();
    wait_ = {&world_->lock, act_.permits};
    waiting_on = &wait_;
    LockHolder holder;
    if (Steps::TakeOrAdd(wait_, *this, holder)) return GoOnWithLock();
    if (!ParkIsLast(seen)) GoOn();
  }

  ThreadKey key() const { return {this, id}; }
  uint64_t id = 0;
  uint32_t scopes_opened = 0;
  uint8_t last_lock = 0;

  // ---- At the end.
  bool ended() const { return ended_; }
  bool waits_for_condition() const { return !ended_ && condition_wait_.has_value(); }

 private:
  friend ParkingThread;

  bool Withdraw() {
    LockHolder holder;
    if (!condition_wait_.has_value()) return Steps::Withdraw(*this);
    return Conditions::Withdraw(*this, holder) == Conditions::Withdrawn::kWithLock;
  }  // Its wait is over.
  void GoOn() {
    Require(!linked(), "a thread that goes on is in no queue");
    if (!unwind) return GoOnWithLock();
    if (condition_wait_.has_value()) {
      world_->Enter(act_.permits);  // with the lock, as it has been before
      world_->Leave(act_.permits);
    }
    End();
  }
  void GoOnWithLock() {
    world_->Enter(act_.permits);
    if (act_.call == Call::kWait && !world_->TakeSignal()) return WaitForCondition();
    Finish();
    End();
  }
  void WaitForCondition() {
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) {
      world_->Leave(act_.permits);
      return End();
    }
    condition_wait_.emplace(world_->condition, &world_->lock);
    waiting_on = static_cast<LockWaitOf<Waiter>*>(&*condition_wait_);
    Require(Conditions::Add(*condition_wait_, *this), "all wait with one lock");
    if (!ParkIsLast(seen)) GoOn();
  }
  // With the lock, which it gives back.
  void Finish() {
    const bool notifies = act_.call != Call::kLock && act_.call != Call::kWait;
    const bool with_lock = act_.call == Call::kNotify || act_.call == Call::kNotifyAll;
    if (notifies) world_->signals.Set(world_->signals.Get() + 1);
    if (with_lock) world_->Notify(act_.call);
    world_->Leave(act_.permits);
    if (notifies && !with_lock) world_->Notify(act_.call);
  }
  void End() {
    ended_ = true;
    state().End();
  }

  void RunOnOsThread() {
    wait_ = {&world_->lock, act_.permits};
    OsLockNode<Waiter> self(wait_);
    LockHolder holder;
    if (!Steps::TakeOrAdd(wait_, self, holder)) self.Await();
    model::Retire(self.woken);
    world_->Enter(act_.permits);
    while (act_.call == Call::kWait && !world_->TakeSignal()) {
      ConditionWaitOf<Waiter> wait(world_->condition, &world_->lock);
      OsLockNode<Waiter> again(wait);
      Require(Conditions::Add(wait, again), "all wait with one lock");
      again.Await();
      model::Retire(again.woken);
      world_->Enter(act_.permits);
    }
    Finish();
    ended_ = true;
  }

  World* world_ = nullptr;
  Act act_ = {};
  bool ended_ = false;
  // ---- The awaiting frame.
  LockWaitOf<Waiter> wait_ = {};
  std::optional<ConditionWaitOf<Waiter>> condition_wait_;
};

void Wake(Waiter& waiter) { waiter.Wake(); }

constexpr Act Lock(int64_t permits) { return {Call::kLock, permits}; }
constexpr Act OsLock(int64_t permits) { return {Call::kLock, permits, true}; }
constexpr Act Wait(int64_t permits) { return {Call::kWait, permits}; }
constexpr Act OsWait(int64_t permits) { return {Call::kWait, permits, true}; }
constexpr Act Notify(int64_t permits) { return {Call::kNotify, permits}; }
constexpr Act NotifyAll(int64_t permits) { return {Call::kNotifyAll, permits}; }
constexpr Act LateNotify(int64_t permits) { return {Call::kLateNotify, permits}; }
constexpr Act NotifyCancelFirst(int64_t permits) { return {Call::kNotifyCancel, permits}; }
constexpr Act CancelFirstNotify(int64_t permits) { return {Call::kCancelNotify, permits}; }
constexpr Act kCancelFirst = {Call::kCancel};

template <int64_t kPermits, Act... kActs>
class Sharing {
 public:
  static constexpr int kThreads = sizeof...(kActs);

  Sharing() {
    for (int i = 0; i < kThreads; ++i) waiters_[i].Set(world_, kAll[i], static_cast<uint64_t>(i + 1));
  }

  void Thread(int index) {
    const Call call = kAll[index].call;
    if (call == Call::kCancel || call == Call::kCancelNotify) waiters_[0].Cancel();
    if (call != Call::kCancel) waiters_[index].Run();
    if (call == Call::kNotifyCancel) waiters_[0].Cancel();
  }

  void Finish() {
    bool waits = false;
    for (int i = 0; i < kThreads; ++i) {
      if (kAll[i].call == Call::kCancel) continue;
      Require(waiters_[i].ended() || waiters_[i].waits_for_condition(), "nobody waits for a lock that is free");
      Require(waiters_[i].ended() || !waiters_[i].requested(), "no request stays behind with the thread parked");
      waits = waits || !waiters_[i].ended();
    }
    Require(world_.lock.available == kPermits, "all that was taken was given back");
    Require(world_.lock.waiters.nodes.empty() && !world_.lock.wanted, "nobody is in the queue of a lock that is free");
    Require(!waits || world_.signals.Get() == 0, "nobody waits for a signal that is there");
    // The end of those who still wait.
    while (world_.condition.waiters.nodes.PopFront() != nullptr) continue;
  }

 private:
  static constexpr std::array<Act, sizeof...(kActs)> kAll = {kActs...};

  World world_{kPermits};
  std::array<Waiter, kThreads> waiters_;
};

const model::Component& LocksComponent() {
  using model::Of;
  static const model::Component component = {
      "locks",
      {Of<Sharing<1, Lock(1), Lock(1)>>("a mutex", {.preemptions = model::kUnbounded}),
       Of<Sharing<1, Lock(1), Lock(1), kCancelFirst>>("a mutex, one is cancelled", {.preemptions = 4}),
       Of<Sharing<2, Lock(2), Lock(1), Lock(1)>>("a writer and two readers", {}),
       Of<Sharing<2, Lock(2), Lock(1), kCancelFirst>>("a writer and a reader, the writer is cancelled", {}),
       Of<Sharing<1, OsLock(1), Lock(1)>>("a mutex, an OS thread", {.preemptions = 4}),
       Of<Sharing<1, OsLock(1), OsLock(1)>>("a mutex, two OS threads", {.preemptions = 4}),
       Of<Sharing<2, OsLock(2), Lock(1), Lock(1)>>("an OS thread and two readers", {})}};
  return component;
}

const model::Component& ConditionComponent() {
  using model::Of;
  static const model::Component component = {
      "condition",
      {Of<Sharing<1, Wait(1), Notify(1)>>("notified with the lock", {.preemptions = 4}),
       Of<Sharing<1, Wait(1), LateNotify(1)>>("notified without the lock", {.preemptions = 4}),
       Of<Sharing<1, Wait(1), Notify(1), kCancelFirst>>("notified or cancelled", {}),
       Of<Sharing<1, Wait(1), LateNotify(1), kCancelFirst>>("notified without the lock, or cancelled", {}),
       Of<Sharing<1, Wait(1), Wait(1), Notify(1)>>("two wait, one is notified", {}),
       Of<Sharing<1, Wait(1), Wait(1), NotifyCancelFirst(1)>>("two wait, one is notified, then one is cancelled",
                                                               {.preemptions = 1}),
       Of<Sharing<1, Wait(1), Wait(1), CancelFirstNotify(1)>>("two wait, one is cancelled, then one is notified",
                                                               {.preemptions = 1}),
       Nightly(Of<Sharing<1, Wait(1), Wait(1), Notify(1), kCancelFirst>>("two wait, one is notified, one cancelled",
                                                                         {.preemptions = 1})),
       Of<Sharing<1, Wait(1), Wait(1), NotifyAll(1)>>("two wait, all are notified", {}),
       Of<Sharing<2, Wait(2), Notify(2), Lock(1)>>("a writer waits, and a reader comes", {}),
       Of<Sharing<1, OsWait(1), Notify(1)>>("an OS thread waits", {.preemptions = 4}),
       Of<Sharing<1, OsWait(1), LateNotify(1)>>("an OS thread waits, notified without the lock", {.preemptions = 4})}};
  return component;
}

TEST(LocksModelTest, OneHolderAtATimeAndNobodyWaitsForWhatIsFree) { model::Prove(LocksComponent()); }
TEST(LocksModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(LocksComponent()); }
// Its own steps are ordered by the locks and by the state word, whose orders are proved with those.
TEST(ConditionModelTest, NoSignalIsLostAndAWaitEndsWithTheLock) { model::Prove(ConditionComponent()); }

}  // namespace
}  // namespace weft::internal
