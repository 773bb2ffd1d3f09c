// The state word of a virtual thread, and the records protocol. Goals: at any time the thread has one owner, who sees
// all that the owners before have done; no wake-up is lost, none is done twice, and no request stays behind with the
// thread parked. No walker meets a record that was freed, or misses one that was pushed. Method: a virtual thread that
// waits several times, and others that wake it, ask it to end, and walk its records. Whoever is told to schedule it
// runs it on, so that two owners at once are a race on its frame.

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include "lib/testing/model/checker.h"
#include "lib/thread/records.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Require;

// A record of the thread below.
struct OpenRecord {
  enum State { kFree, kOpen };

  Plain<OpenRecord*> outer{nullptr};
  Cell<int> state{kFree};
  Cell<bool> met{false};  // by a walker; under the lock
};

// A virtual thread with the state word and the records protocol that ship. Around them, step by step, what the runtime
// does: a registration, which is taken back or answered once; a record that is open during a wait and freed after it;
// and the thread's body.
class WaitingThread {
 public:
  explicit WaitingThread(int waits) : waits_left_(waits) {}

  // ---- For records.h.
  Atomic<OpenRecord*> records{nullptr};
  Lock records_lock;
  ThreadState state;

  // By its owner: until it parks, or ends.
  void Run() {
    for (;;) {
      frame_.Set(frame_.Get() + 1);
      brought_.Get();
      if (awaiter_.Get() == kWaits) {
        awaiter_.Set(kGone);
        Pop(record_);
      }
      if (unwind_.Get()) {
        unwind_.Set(false);
        Deliver();
      }
      if (waits_left_.Get() == 0) {
        result_.Set(1);
        state.End();
        return;
      }
      waits_left_.Set(waits_left_.Get() - 1);
      Push(record_);
      awaiter_.Set(kWaits);
      ThreadState::Snapshot seen = state.Observe();
      if (seen.requested() && Deliver()) continue;
      registered_.store(1, release);
      frame_.Set(frame_.Get() + 1);  // it suspends, and may have been woken already
      if (ParkIsLast(seen)) return;
    }
  }

  void Wake() {
    if (!TakeRegistration()) return;
    brought_.Set(1);
    if (state.Wake() == ThreadState::WakeOutcome::kSchedule) Run();
  }

  // Hidden: by a shield, so that it is no reason to end the wait.
  void Request(bool hidden) {
    bool runnable = false;
    {
      std::lock_guard guard(records_lock);
      if (!hidden) {
        if (requested_.Get()) return;
        requested_.Set(true);
      }
      AnnounceRequest(*this, FencePassed::kNo);
      Walk();
      if (!hidden) runnable = Interrupt();
    }
    if (runnable) Run();
  }

  // By a scope that is shut down, which forces one fence for many. Such a request is never delivered: the thread ends.
  void RequestEnd() {
    bool runnable = false;
    WaitingThread* const self = this;
    WatchEach(&self, 1, [&runnable](WaitingThread& thread) {
      std::lock_guard guard(thread.records_lock);
      if (thread.ends_.Get()) return;
      thread.ends_.Set(true);
      AnnounceRequest(thread, FencePassed::kByWatchEach);
      thread.Walk();
      runnable = thread.Interrupt();
    });
    if (runnable) Run();
  }

  // A report of who waits on what.
  void Watch() {
    const RecordsWatch watch(*this);
    Walk();
  }

  // True: a request was seen. The lock is taken if the thread is only watched, too; a bug was that it was not.
  enum Locks { kForAttention, kForRequests };
  bool Open(Locks locks) {
    Push(record_, locks);
    return state.Observe().requested();
  }
  bool was_met() const { return record_.met.Get(); }

  void OpenAndClose() {
    Push(record_);
    Pop(record_);
  }
  void OpenAndCloseInside() {
    OpenRecord inside;
    Push(record_);
    Push(inside);
    Pop(inside);
    Pop(record_);
  }

  // Whoever has a handle.
  void Look() {
    if (state.ended()) Require(result_.Get() == 1, "a thread that has ended has its result");
  }

  void Finish() {
    const ThreadState::Phase phase = state.Observe().phase();
    const bool parked = phase == ThreadState::Phase::kParked;
    Require(parked || phase == ThreadState::Phase::kEnded, "a thread is parked or has ended when nobody runs it");
    Require(parked == (registered_.load() == 1), "a thread is parked exactly while its wait is not answered");
    Require(!parked || !(requested_.Get() || ends_.Get()), "no request stays behind with the thread parked");
  }

 private:
  enum Awaiter { kGone, kWaits };

  bool TakeRegistration() { return registered_.exchange(0, acq_rel) == 1; }

  // ---- With the records lock held.
  void Walk() {
    for (OpenRecord* at = InnermostRecord(*this); at != nullptr; at = at->outer) {
      Require(at->state.Get() == OpenRecord::kOpen, "what is walked is not freed");
      at->met.Set(true);
    }
  }
  bool Interrupt() {
    if (!state.Claim()) return false;
    Require(awaiter_.Get() == kWaits, "a thread that is claimed still waits");
    const bool withdrawn = TakeRegistration();
    if (withdrawn) unwind_.Set(true);
    return state.EndCancel(withdrawn);
  }

  // ---- The owner's.
  void Push(OpenRecord& record, Locks locks = kForAttention) {
    record.state.Set(OpenRecord::kOpen);
    const bool attention = PublishPush(*this, record);
    if (locks == kForAttention ? attention : state.Observe().requested()) LookUnderLock(*this, [] {});
  }
  void Pop(OpenRecord& record) {
    if (PublishPop(*this, record)) LookUnderLock(*this, [] {});
    record.state.Set(OpenRecord::kFree);
  }
  // False: there was nothing that is not hidden.
  bool Deliver() {
    std::lock_guard guard(records_lock);
    if (ends_.Get()) {
      waits_left_.Set(0);
      return true;
    }
    if (!requested_.Get()) return false;
    requested_.Set(false);
    state.ClearRequested();
    return true;
  }

  bool ParkIsLast(ThreadState::Snapshot seen) {
    for (;;) {
      switch (state.Park(seen)) {
        case ThreadState::ParkOutcome::kParked:
          return true;
        case ThreadState::ParkOutcome::kNotified:
          return false;
        case ThreadState::ParkOutcome::kRequested: {
          std::lock_guard guard(records_lock);
          seen = state.Observe();
          if (!(requested_.Get() || ends_.Get()) || !TakeRegistration()) continue;
          unwind_.Set(true);
          return false;
        }
      }
    }
  }

  Atomic<int> registered_{0};
  OpenRecord record_;
  // ---- Under the lock.
  Cell<bool> requested_{false};
  Cell<bool> ends_{false};
  // ---- The owner's.
  Cell<int> frame_{0};
  Cell<int> waits_left_;
  Cell<int> awaiter_{kGone};  // lies in the frame, and goes with its next step
  Cell<int> brought_{0};
  Cell<int> result_{0};
  Cell<bool> unwind_{false};
};

enum Operation { kWake, kRequest, kRequestEnd, kRequestHidden, kWatch };

// Thread 0 waits as often as each of the others does something to it: whatever of the kinds from `first` to `last`.
template <int threads, int operations>
class Waiting {
 public:
  static constexpr int kThreads = threads;
  Waiting(int first, int last) {
    for (auto& thread : operations_) {
      for (int& operation : thread) operation = first + model::Choose(last - first + 1);
    }
  }
  void Thread(int index) {
    if (index == 0) return thread_.Run();
    for (int operation : operations_[index - 1]) Do(operation);
  }
  void Finish() { thread_.Finish(); }

 private:
  void Do(int operation) {
    switch (operation) {
      case kWake:
        return thread_.Wake();
      case kRequest:
        return thread_.Request(/*hidden=*/false);
      case kRequestEnd:
        return thread_.RequestEnd();
      case kRequestHidden:
        return thread_.Request(/*hidden=*/true);
      case kWatch:
        return thread_.Watch();
    }
  }

  int operations_[threads - 1][operations];
  WaitingThread thread_{operations};
};

// A handle is looked at while the thread ends.
class Ending {
 public:
  static constexpr int kThreads = 3;
  void Thread(int index) {
    if (index == 0) return thread_.Run();
    if (index == 1) return thread_.Wake();
    thread_.Look();
  }
  void Finish() { thread_.Finish(); }

 private:
  WaitingThread thread_{1};
};

// A scope is opened while its thread is asked to end, alone or as one of many: somebody has to notice.
class Opening {
 public:
  static constexpr int kThreads = 2;
  Opening(bool one_of_many, WaitingThread::Locks locks) : one_of_many_(one_of_many), locks_(locks) {}
  void Thread(int index) {
    if (index == 0) {
      told_ = thread_.Open(locks_);
    } else if (one_of_many_) {
      thread_.RequestEnd();
    } else {
      thread_.Request(/*hidden=*/true);
    }
  }
  void Finish() { Require(told_ || thread_.was_met(), "who opens a scope is told of a request, or the scope is"); }

 private:
  const bool one_of_many_;
  const WaitingThread::Locks locks_;
  WaitingThread thread_{1};
  bool told_ = false;
};

// A record is opened and closed inside another, while somebody walks.
class Nesting {
 public:
  static constexpr int kThreads = 2;
  Nesting() : first_(model::Choose(3)), second_(model::Choose(3)) {}
  void Thread(int index) {
    if (index == 0) return thread_.OpenAndCloseInside();
    Walk(first_);
    Walk(second_);
  }
  void Finish() {}

 private:
  void Walk(int how) {
    if (how == 0) return thread_.Request(/*hidden=*/true);
    if (how == 1) return thread_.RequestEnd();
    thread_.Watch();
  }

  const int first_;
  const int second_;
  WaitingThread thread_{1};
};

// What records.h forbids: two calls of WatchEach() for one thread. The second may set the flag that the first had set,
// and somebody else has taken down, before the second has forced its fence.
class TwoBatches {
 public:
  static constexpr int kThreads = 3;
  void Thread(int index) {
    if (index == 0) return thread_.OpenAndClose();
    if (index == 1) thread_.Watch();
    thread_.RequestEnd();
  }
  void Finish() {}

 private:
  WaitingThread thread_{1};
};

std::vector<model::Program> Programs() {
  return {
      model::Of<Waiting<2, 2>>("2 threads x 2 operations", {.spurious_failures = 1}, kWake, kWatch),
      model::Of<Waiting<2, 3>>("2 threads x 3 operations", {}, kWake, kWatch),
      model::Of<Waiting<3, 1>>("3 threads x 1 operation", {}, kWake, kWatch),
      model::Of<Waiting<3, 2>>("3 threads x 2 operations, wake-ups and requests", {.preemptions = 1}, kWake, kRequest),
      model::Nightly(model::Of<Waiting<3, 2>>("3 threads x 2 operations", {}, kWake, kWatch)),
      model::Of<Ending>("a look at the end", {}),
      model::Of<Opening>("a scope is opened", {}, /*one_of_many=*/false, WaitingThread::kForAttention),
      model::Of<Opening>("a scope is opened under a watch", {}, /*one_of_many=*/true, WaitingThread::kForAttention),
      model::Of<Nesting>("a record inside another", {})};
}

const model::Component& ThreadStateComponent() {
  static const model::Component component = {"thread", Programs()};
  return component;
}

const model::Component& RecordsComponent() {
  static const model::Component component = {"records", Programs()};
  return component;
}

TEST(ThreadStateModelTest, OneOwnerAtATimeAndNoWakeUpOrRequestIsLost) { model::Prove(ThreadStateComponent()); }

// A regression: the request of a scope that is shut down passed by what was opened just then.
//   1. who asks many: watches the thread, and makes the one fence
//   2. the thread: pushes, sees that it is watched, and takes no lock, since nothing is requested yet
//   3. who asks: requests, makes no fence for a thread that it has watched, and does not meet what was pushed
TEST(ThreadStateModelTest, AWatchAloneIsReasonEnoughToTakeTheLock) {
  EXPECT_NE(model::Explore<Opening>({}, /*one_of_many=*/true, WaitingThread::kForRequests).violation, "");
}

TEST(ThreadStateModelTest, TwoBatchesAtOnceForOneThreadWouldMissAFence) {
  EXPECT_NE(model::Explore<TwoBatches>({.preemptions = 3}).violation, "");
}

TEST(ThreadStateModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(ThreadStateComponent()); }

TEST(ThreadStateModelTest, NoOrderOfTheRecordsCouldBeWeaker) { model::RefuteWeakerOrders(RecordsComponent()); }

}  // namespace
}  // namespace weft::internal
