// Queues of those who wait, for one thing or for several. Goal: a wait ends once, and what a queue has to give is never
// lost: it is received, or still in the queue. Method: threads that wait on one queue or on two, others that give, and
// one that cancels. Whoever is told to schedule a thread runs it on; a thread that goes on takes its cases back, after
// which no queue may know them.
#include "lib/thread/wait_node.h"

#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <optional>

#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "tests/model/parking_thread.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

constexpr int kQueues = 2;

class Waiter;

// As a semaphore: it has things to give, or those who wait.
struct Source {
  WaitQueue<Waiter> waiters;
  Cell<int> things{0};  // guarded by its lock

  void Give();
};
using Sources = std::array<Source, kQueues>;

// A thread that waits once.
class Waiter : public model::ParkingThread<Waiter> {
 public:
  // On `sources[first]`, or on all.
  Waiter(Sources& sources, int first, bool for_several) : sources_(sources), first_(first), for_several_(for_several) {}

  // By its owner: until it parks, or ends.
  void Run() {
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) return End(/*cancelled=*/true);
    if (for_several_ ? TakeOrRegisterSeveral() : TakeOrRegister()) return End(/*cancelled=*/false);
    if (!ParkIsLast(seen)) GoOn();
  }

  // Where what is granted is left, if the thread is its own node.
  Cell<int>& handed_over() { return handed_over_; }

  bool received() const { return received_.Get(); }
  void Finish() {
    const ThreadState::Phase phase = state().Observe().phase();
    const bool parked = phase == ThreadState::Phase::kParked;
    Require(parked || phase == ThreadState::Phase::kEnded, "a thread is parked or has ended when nobody runs it");
    Require(!parked || !requested(), "no request stays behind with the thread parked");
    for (int i = 0; parked && i < kQueues; ++i) {
      Require(!(for_several_ || i == first_) || sources_[i].things.Get() == 0, "nobody waits for what is there");
    }
  }

 private:
  friend ParkingThread;

  bool TakeOrRegister() {
    Source& source = sources_[first_];
    waiting_on = &source;
    std::lock_guard guard(source.waiters.lock);
    if (Take(source)) return true;
    source.waiters.Add(*this);
    return false;
  }
  // A case that is granted while others are still being registered ends that.
  bool TakeOrRegisterSeveral() {
    wait_.emplace(*this);
    waiting_on = &*wait_;
    for (int i = 0; i < kQueues; ++i) {
      Source& source = sources_[i];
      std::lock_guard guard(source.waiters.lock);
      if (source.things.Get() > 0) return wait_->Claim(i) && Take(source);
      cases_[i].emplace(*wait_, i, &handed_over_);
      source.waiters.Add(*cases_[i]);
    }
    return false;
  }
  static bool Take(Source& source) {
    if (source.things.Get() == 0) return false;
    source.things.Set(source.things.Get() - 1);
    return true;
  }

  bool Withdraw() {
    if (for_several_) return WaitForSeveral<Waiter>::Withdraw(*this);
    auto& source = *static_cast<Source*>(waiting_on);
    std::lock_guard guard(source.waiters.lock);
    return source.waiters.WithdrawLocked(*this);
  }

  void GoOn() {
    const auto cancelled = static_cast<bool>(unwind);
    Require(handed_over_.Get() == (cancelled ? 0 : 1), "a wait is granted once, or cancelled");
    Require(!for_several_ || (wait_->claimed_by() >= 0) == !cancelled, "the wait knows how it has ended");
    End(cancelled);
  }
  void End(bool cancelled) {
    for (int i = 0; i < kQueues; ++i) {
      if (cases_[i].has_value()) sources_[i].waiters.TakeBack(*cases_[i]);
      cases_[i].reset();
    }
    Require(!linked(), "a thread that goes on is in no queue");
    wait_.reset();
    received_.Set(!cancelled);
    state().End();
  }

  Sources& sources_;
  const int first_;
  const bool for_several_;
  Cell<int> handed_over_{0};
  Cell<bool> received_{false};
  // ---- The awaiting frame.
  std::optional<WaitForSeveral<Waiter>> wait_;
  std::array<std::optional<WaitCase<Waiter>>, kQueues> cases_;
};

void Source::Give() {
  Waiter* woken = nullptr;
  {
    std::lock_guard guard(waiters.lock);
    if (WaitNode* const node = waiters.Grant()) {
      woken = &WaitQueue<Waiter>::ThreadOf(*node);
      auto& place = node->wait_state == WaitNode::State::kCase
                        ? *static_cast<Cell<int>*>(static_cast<WaitCase<Waiter>*>(node)->slot)
                        : woken->handed_over();
      place.Set(place.Get() + 1);
    } else {
      things.Set(things.Get() + 1);
    }
  }
  if (woken != nullptr) woken->Wake();
}

enum class Others {
  kBothGive,       // one to each queue
  kOneGivesBoth,   // one after the other, to the same thread or not
  kGiveAndCancel,  // to a queue of the first thread, which somebody cancels
};

// Thread 0 waits for several, or for the first; with `waiters` == 2 another one waits for the first queue alone.
template <int waiters, bool several, Others others>
class Waiting {
 public:
  static constexpr int kThreads = waiters + (others == Others::kOneGivesBoth ? 1 : 2);

  void Thread(int index) {
    if (index < waiters) return waiters_[index].Run();
    switch (others) {
      case Others::kBothGive:
        return Give(index - waiters);
      case Others::kOneGivesBoth:
        Give(1);
        return Give(0);
      case Others::kGiveAndCancel:
        return index == waiters ? Give(0) : waiters_[0].Cancel();
    }
  }

  void Finish() {
    int received = 0;
    for (int i = 0; i < waiters; ++i) {
      waiters_[i].Finish();
      received += waiters_[i].received();
    }
    const int given = others == Others::kGiveAndCancel ? 1 : 2;
    Require(received + sources_[0].things.Get() + sources_[1].things.Get() == given,
            "what was given was received, or is still there");
    // The end of those who still wait.
    for (Source& source : sources_) {
      while (source.waiters.nodes.PopFront() != nullptr) continue;
    }
  }

 private:
  void Give(int queue) { sources_[queue].Give(); }

  Sources sources_;
  Waiter waiters_[2] = {{sources_, 0, several}, {sources_, 0, false}};
};

const model::Component& WaitNodeComponent() {
  constexpr bool kOne = false;
  constexpr bool kSeveral = true;
  static const model::Component component = {
      "wait_node",
      {model::Of<Waiting<1, kOne, Others::kGiveAndCancel>>("one thing, given or cancelled",
                                                           {.preemptions = model::kUnbounded}),
       model::Of<Waiting<1, kSeveral, Others::kBothGive>>("two things, both given", {.preemptions = model::kUnbounded}),
       model::Of<Waiting<1, kSeveral, Others::kGiveAndCancel>>("two things, given or cancelled", {.preemptions = 4}),
       model::Of<Waiting<2, kSeveral, Others::kOneGivesBoth>>("two threads, one of them for two things", {}),
       model::Of<Waiting<2, kSeveral, Others::kBothGive>>("two threads, both given", {}),
       model::Of<Waiting<2, kSeveral, Others::kGiveAndCancel>>("two threads, one is cancelled", {})}};
  return component;
}

// Its own steps are ordered by the locks of the queues and by the state word, whose orders are proved with those.
TEST(WaitNodeModelTest, AWaitEndsOnceAndNothingGivenIsLost) { model::Prove(WaitNodeComponent()); }

}  // namespace
}  // namespace weft::internal
