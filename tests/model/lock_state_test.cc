// Locks of all kinds, conditions, and selects over two locks. Goal: what a lock guards is one holder's at a time;
// nobody waits for what is there; no permit and no signal is lost; a wait for a condition ends with the lock; of two
// locks one is got, and whoever stands behind the case of the other one goes on; whoever is cancelled or an OS thread.
// Method: threads that lock, wait, notify, select and cancel, one call each, on the code as it is shipped. What is
// guarded is a Cell: two holders at a time, or a hand-over that is not ordered, are a violation.
#include "lib/sync/lock_state.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>

#include "lib/channel/select_wait.h"
#include "lib/sync/condition_state.h"
#include "lib/testing/model/checker.h"
#include "lib/thread/selectable_wait.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "tests/model/parking_thread.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// Which locks are wanted is for the drain (drain_test.cc).
void ListWanted(HeldLock&, LockKind) noexcept {}
void UnlistWanted(HeldLock&, LockKind) noexcept {}
ThreadKey OsThreadKey() noexcept {
  static const char here = 0;
  return {&here, 0};
}

namespace {

using model::Cell;
using model::Require;

enum class Call {
  kLock,          // so many permits, and gives them back
  kSelect,        // the same of one of two locks
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
  int side = 0;     // the lock; a select has this one as its first case
};

class Waiter;
using Steps = LockSteps<Waiter>;
using Conditions = ConditionSteps<Waiter>;

// A lock, and what it guards.
struct Side {
  explicit Side(int64_t permits) : lock(LockKind::kSharedMutex, permits) {}

  // With so many permits.
  void Enter(int64_t permits) {
    if (permits == lock.permits) {
      guarded.Set(guarded.Get() + 1);
    } else {
      static_cast<void>(guarded.Get());
    }
  }
  void Leave(int64_t permits) { Steps::Give(lock, permits); }

  LockState<Waiter> lock;
  Cell<int> guarded{0};  // written by whoever has all permits, read by whoever has some
};

struct World {
  World(int64_t permits, bool with_second) : first(permits) {
    if (with_second) second.emplace(permits);
  }

  Side& side(int which) { return which == 0 ? first : *second; }
  bool TakeSignal() {
    if (signals.Get() == 0) return false;
    signals.Set(signals.Get() - 1);
    return true;
  }
  void Notify(Call call) {
    LockHolder holder;
    static_cast<void>(Conditions::Notify(condition, call == Call::kNotifyAll ? INT64_MAX : 1, holder));
  }

  Side first;
  std::optional<Side> second;  // of programs with a select
  ConditionState<Waiter> condition;
  Cell<int> signals{0};  // guarded by the whole first lock
};

// ---- A lock as a case. (As in lock_core.cc, where whoever selects is the current thread.)

struct LockCase : LockWaitOf<Waiter> {
  Waiter* self = nullptr;
};
LockCase& CaseIn(void* waited_for) { return *static_cast<LockCase*>(static_cast<LockWaitOf<Waiter>*>(waited_for)); }
void TakeBackCase(void* waited_for, WaitCase<Waiter>& node) noexcept {
  Steps::TakeBack(*CaseIn(waited_for).lock, node);
}

constexpr SelectableWait<Waiter> kSelectLock = {
    .lock = [](void* waited_for) noexcept { return &CaseIn(waited_for).lock->waiters.lock; },
    .take = [](void* waited_for) noexcept {
      const LockCase& of = CaseIn(waited_for);
      return SelectTaken{.taken = Steps::TakeLocked(*of.lock, of.permits, of.self)};
    },
    .finish = nullptr,
    .add = [](void* waited_for, WaitCase<Waiter>& node) noexcept { Steps::AddLocked(*CaseIn(waited_for).lock, node); },
    .after_add = nullptr,
    .take_back = &TakeBackCase,
    .make_way = &TakeBackCase,
};

class ModelSelect : public SelectWait<Waiter> {
 public:
  using SelectWait<Waiter>::Begin;
};

// A thread that calls once.
class Waiter : public model::ParkingThread<Waiter> {
 public:
  void Set(World& world, const Act& act, uint64_t number) {
    world_ = &world;
    act_ = act;
    id = number;
    side_ = &world.side(act.side);
  }

  void Run() {
    if (act_.os) return RunOnOsThread();
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) return End();
    if (act_.call == Call::kSelect) return RunSelect(seen);
    wait_ = {&side_->lock, act_.permits};
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
    if (act_.call == Call::kSelect) return SelectWait<Waiter>::Withdraw(*this);
    LockHolder holder;
    if (!condition_wait_.has_value()) return Steps::Withdraw(*this);
    return Conditions::Withdraw(*this, holder) == Conditions::Withdrawn::kWithLock;
  }
  void RunSelect(ThreadState::Snapshot seen) {
    for (int i = 0; i < 2; ++i) {
      cases_[i] = {{&world_->side(i == 0 ? act_.side : 1 - act_.side).lock, act_.permits}, this};
      records_[i].part = {static_cast<LockWaitOf<Waiter>*>(&cases_[i]), &kSelectLock};
    }
    select_.Begin(records_.data(), 2, *this);
    waiting_on = static_cast<SelectWait<Waiter>*>(&select_);
    if (select_.LookOrAdd(*this)) return GoOnWithCase();
    if (!ParkIsLast(seen)) GoOn();
  }
  void GoOnWithCase() {
    side_ = &world_->side(select_.chosen() == 0 ? act_.side : 1 - act_.side);
    GoOnWithLock();
  }
  // Its wait is over.
  void GoOn() {
    Require(!linked(), "a thread that goes on is in no queue");
    if (act_.call == Call::kSelect) {
      select_.TakeBack(records_.data(), 2);
      return unwind ? End() : GoOnWithCase();
    }
    if (!unwind) return GoOnWithLock();
    if (condition_wait_.has_value()) {
      side_->Enter(act_.permits);  // with the lock, as it has been before
      side_->Leave(act_.permits);
    }
    End();
  }
  void GoOnWithLock() {
    side_->Enter(act_.permits);
    if (act_.call == Call::kWait && !world_->TakeSignal()) return WaitForCondition();
    Finish();
    End();
  }
  void WaitForCondition() {
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) {
      side_->Leave(act_.permits);
      return End();
    }
    condition_wait_.emplace(world_->condition, &side_->lock);
    waiting_on = static_cast<LockWaitOf<Waiter>*>(&*condition_wait_);
    Require(Conditions::Add(*condition_wait_, *this), "all wait with one lock");
    if (!ParkIsLast(seen)) GoOn();
  }
  // With the lock, which it gives back.
  void Finish() {
    const bool notifies = act_.call != Call::kLock && act_.call != Call::kSelect && act_.call != Call::kWait;
    const bool with_lock = act_.call == Call::kNotify || act_.call == Call::kNotifyAll;
    if (notifies) world_->signals.Set(world_->signals.Get() + 1);
    if (with_lock) world_->Notify(act_.call);
    side_->Leave(act_.permits);
    if (notifies && !with_lock) world_->Notify(act_.call);
  }
  void End() {
    ended_ = true;
    state().End();
  }

  void RunOnOsThread() {
    wait_ = {&side_->lock, act_.permits};
    OsLockNode<Waiter> self(wait_);
    LockHolder holder;
    if (!Steps::TakeOrAdd(wait_, self, holder)) self.Await();
    model::Retire(self.woken);
    side_->Enter(act_.permits);
    while (act_.call == Call::kWait && !world_->TakeSignal()) {
      ConditionWaitOf<Waiter> wait(world_->condition, &side_->lock);
      OsLockNode<Waiter> again(wait);
      Require(Conditions::Add(wait, again), "all wait with one lock");
      again.Await();
      model::Retire(again.woken);
      side_->Enter(act_.permits);
    }
    Finish();
    ended_ = true;
  }

  World* world_ = nullptr;
  Side* side_ = nullptr;  // whose lock it waits for, or has got
  Act act_ = {};
  bool ended_ = false;
  // ---- The awaiting frame.
  LockWaitOf<Waiter> wait_ = {};
  std::optional<ConditionWaitOf<Waiter>> condition_wait_;
  std::array<LockCase, 2> cases_ = {};
  std::array<SelectRecord<Waiter>, 2> records_ = {};
  ModelSelect select_;
};

void Wake(Waiter& waiter) { waiter.Wake(); }
uint32_t ChooseCase(Waiter&, uint32_t) { return 0; }

constexpr Act Lock(int64_t permits) { return {Call::kLock, permits}; }
constexpr Act LockSecond(int64_t permits) { return {Call::kLock, permits, false, 1}; }
constexpr Act Select(int64_t permits) { return {Call::kSelect, permits}; }
constexpr Act SelectSecondFirst(int64_t permits) { return {Call::kSelect, permits, false, 1}; }
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
    for (int i = 0; i < (kSelects ? 2 : 1); ++i) {
      const LockState<Waiter>& lock = world_.side(i).lock;
      Require(lock.available == kPermits, "all that was taken was given back");
      Require(lock.waiters.nodes.empty() && !lock.wanted, "nobody is in the queue of a lock that is free");
    }
    Require(!waits || world_.signals.Get() == 0, "nobody waits for a signal that is there");
    // The end of those who still wait.
    while (world_.condition.waiters.nodes.PopFront() != nullptr) continue;
  }

 private:
  static constexpr std::array<Act, sizeof...(kActs)> kAll = {kActs...};
  static constexpr bool kSelects = ((kActs.call == Call::kSelect) || ...);

  World world_{kPermits, kSelects};
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

const model::Component& SelectComponent() {
  using model::Of;
  static const model::Component component = {
      "select of locks",
      {Of<Sharing<1, Select(1), Lock(1), LockSecond(1)>>("two locks, either is given", {.preemptions = 4}),
       Of<Sharing<1, Select(1), SelectSecondFirst(1), Lock(1)>>("two selects and a lock", {}),
       Of<Sharing<1, Select(1), Lock(1), LockSecond(1), kCancelFirst>>("two locks, given or cancelled", {}),
       Of<Sharing<2, Select(2), Lock(1), LockSecond(1), Lock(1)>>("a writer's case in the way of a reader",
                                                                  {.preemptions = 1})}};
  return component;
}

TEST(LocksModelTest, OneHolderAtATimeAndNobodyWaitsForWhatIsFree) { model::Prove(LocksComponent()); }
TEST(LocksModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(LocksComponent()); }
// The steps of these two are ordered by the locks and by the state word, whose orders are proved with those.
TEST(ConditionModelTest, NoSignalIsLostAndAWaitEndsWithTheLock) { model::Prove(ConditionComponent()); }
TEST(SelectOfLocksModelTest, OneLockIsGotAndNobodyIsKeptByACaseThatIsOver) { model::Prove(SelectComponent()); }

}  // namespace
}  // namespace weft::internal
