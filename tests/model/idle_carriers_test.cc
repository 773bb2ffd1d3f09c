// The idle protocol. Goal: no work stays behind with all carriers parked. Method: makers that publish work by relaxed
// stores and notify; carriers that take what they see, search, and park until rung, by a ring that orders nothing. An
// execution is over when everybody sleeps or has ended; then all work must be taken, and one of those that sleep
// watches those that compute.
#include "lib/lockfree/idle_carriers.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "lib/base/fence.h"
#include "lib/lockfree/work_stealing_deque.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "tests/model/component.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Require;

// As the runtime uses the protocol, with numbers for work. The last carrier may be a spare one, which may run no more
// from some moment on. Or each one may compute for ever with the first work that it finds.
enum class Form { kPlain, kLastRetires, kEachComputes };
template <int makers, int carriers, int items, Form form = Form::kPlain>
class Idling {
 public:
  static constexpr int kThreads = makers + carriers + (form == Form::kLastRetires ? 1 : 0);
  static constexpr bool kMayEndWaiting = true;

  void Thread(int index) {
    if (index < makers) {
      for (int i = 0; i < items; ++i) {
        queues_[index].fetch_add(1, relaxed);
        Notify();
      }
    } else if (index < makers + carriers) {
      Carry(carriers_[index - makers]);
    } else {
      limit_.store(carriers - 1, relaxed);
    }
  }

  void Finish() {
    for (Atomic<int>& queue : queues_) Require(queue.load() == 0, "no work is left with all carriers parked");
  }

 private:
  struct Carrier {
    IdleCarriers::Member idle;
    Atomic<uint32_t> rung{0};
  };

  bool MayRun(const Carrier& carrier) const {
    return form != Form::kLastRetires || &carrier - carriers_ < limit_.load(relaxed);
  }

  void Carry(Carrier& self) {
    for (;;) {
      if (!MayRun(self)) {
        if (idle_.EndSearch(self.idle)) Notify();
        return Sleep(self);
      }
      if (TakeWork()) {
        if (idle_.EndSearch(self.idle)) Notify();
        if (form == Form::kEachComputes) return;
      } else if (!idle_.BeginSearch(self.idle, carriers)) {
        if (idle_.Park(self.idle, [&] { return HasWork() || !MayRun(self); }, [&self] { Sleep(self); })) Notify();
      }
    }
  }

  bool TakeWork() {
    for (Atomic<int>& queue : queues_) {
      int count = queue.load(relaxed);
      if (count > 0 && queue.compare_exchange_strong(count, count - 1, relaxed, relaxed)) return true;
    }
    return false;
  }

  bool HasWork() {
    for (Atomic<int>& queue : queues_) {
      if (queue.load(relaxed) > 0) return true;
    }
    return false;
  }

  void Notify() {
    const auto find = [this]() -> Carrier* {
      const int first = model::Choose(carriers);
      for (int i = 0; i < carriers; ++i) {
        Carrier& each = carriers_[(first + i) % carriers];
        if (MayRun(each) && each.idle.IsParked()) return &each;
      }
      return nullptr;
    };
    (void)idle_.Notify(find, [](Carrier& carrier) {
      if (carrier.rung.exchange(1, relaxed) == 0) FutexWake(carrier.rung, 1);
    });
  }

  static void Sleep(Carrier& self) {
    if (self.rung.exchange(0, relaxed) != 0) return;
    FutexWait(self.rung, 0);
    self.rung.exchange(0, relaxed);
  }

  IdleCarriers idle_;
  Atomic<int> queues_[makers];
  Carrier carriers_[carriers];
  Atomic<int> limit_{carriers};
};

// Whoever takes a piece of work computes for ever. Some of the work is made by a maker; some is a carrier's own, that
// wakes it from its sleep alone. One that watches may wake at any time.
template <int carriers, int made>
class Watching {
 public:
  static constexpr int kThreads = carriers + 1;
  static constexpr bool kMayEndWaiting = true;

  explicit Watching(int wakes) {
    for (Carrier& each : carriers_) each.wakes = wakes;
  }

  void Thread(int index) {
    if (index < carriers) return Carry(carriers_[index]);
    for (int i = 0; i < made; ++i) {
      if (model::Choose(2) == 0) {
        queued_.fetch_add(1, relaxed);
        Notify();
      } else {
        own_.fetch_add(1, relaxed);
        Ring(carriers_[0]);
      }
    }
  }

  void Finish() {
    bool watched = false, one_computes = false, one_sleeps = false;
    for (const Carrier& each : carriers_) {
      watched |= each.watches;
      one_computes |= each.computes;
      one_sleeps |= !each.computes;
    }
    Require(queued_.load() == 0, "no work is left with all carriers parked");
    Require(watched || !one_computes || !one_sleeps, "one of those that are parked watches who computes");
  }

 private:
  struct Carrier {
    IdleCarriers::Member idle;
    Atomic<uint32_t> rung{0};
    Atomic<bool> asleep{false};
    bool watches = false;
    bool computes = false;
    int wakes = 0;  // it may do so by itself so often, from here on
  };

  void Carry(Carrier& self) {
    for (;;) {
      if (&self == carriers_ && own_.load(relaxed) > 0) {  // as the timers push what they wake
        own_.fetch_sub(1, relaxed);
        queued_.fetch_add(1, relaxed);
        Notify();
      }
      int count = queued_.load(relaxed);
      // Queues order what the takers did, like that they woke, for whoever finds nothing any more.
      if (count > 0 && queued_.compare_exchange_strong(count, count - 1, acq_rel, relaxed)) {
        if (idle_.EndSearch(self.idle)) Notify();
        self.computes = true;
        return;
      }
      if (idle_.BeginSearch(self.idle, carriers)) continue;
      if (idle_.Park(self.idle, [&] { return queued_.load(relaxed) > 0; }, [&] { Sleep(self); })) Notify();
    }
  }

  // As Duties::ParkDeadline() and Carrier::ParkUntil().
  void Sleep(Carrier& self) {
    self.asleep.store(true, relaxed);
    StoreLoadFence();
    for (const Carrier& each : carriers_) {
      if (&each == &self || each.asleep.load(relaxed)) continue;
      self.watches = idle_.Watch(self.idle);
      break;
    }
    const bool wakes = self.watches && self.wakes > 0 && model::Choose(2) == 1;
    if (wakes) --self.wakes;
    if (!wakes && self.rung.exchange(0, relaxed) == 0) FutexWait(self.rung, 0);
    self.rung.exchange(0, relaxed);
    self.asleep.store(false, relaxed);
    self.watches = false;
  }

  void Notify() {
    (void)idle_.Notify(
        [this]() -> Carrier* {
          const int first = model::Choose(carriers);
          for (int i = 0; i < carriers; ++i) {
            Carrier& each = carriers_[(first + i) % carriers];
            if (each.idle.IsParked()) return &each;
          }
          return nullptr;
        },
        Ring);
  }
  static void Ring(Carrier& carrier) {
    if (carrier.rung.exchange(1, relaxed) == 0) FutexWake(carrier.rung, 1);
  }

  IdleCarriers idle_;
  Atomic<int> queued_{0};
  Atomic<int> own_{0};  // of the first carrier, which may compute by then
  Carrier carriers_[carriers];
};

// The same with deques, whose owner makes no fence of its own while it is biased: whoever parks forces one upon it. A
// carrier that is busy pushes into its deque, pops, and tells whom it sees; another one is idle.
class Pushing {
 public:
  static constexpr int kThreads = 2;
  static constexpr bool kMayEndWaiting = true;

  // Among thieves: somebody has stolen before. Between: and with its next pop the owner takes the bias back.
  explicit Pushing(int operations) : operations_(operations) {
    const int start = model::Choose(3);
    if (start >= 1) {
      Push();
      (void)deque_.Steal();
    }
    if (start == 2) {
      Push();
      (void)deque_.Pop();
    }
    for (int& item : items_) item = 0;
  }

  void Thread(int index) {
    if (index == 1) return Carry();
    for (int i = 0; i < operations_; ++i) {
      if (model::Choose(2) == 0) {
        Push();
        deque_.PublishFence();
        if (idle_.MayBeIdle()) Notify();
      } else if (deque_.Pop() != nullptr) {
        // It runs what it has taken.
      }
    }
  }

  void Finish() { Require(deque_.SizeEstimate() == 0, "no work is left with all other carriers parked"); }

 private:
  struct Carrier {
    IdleCarriers::Member idle;
    Atomic<uint32_t> rung{0};
  };

  void Push() { Require(deque_.Push(&items_[pushed_++]), "there is memory"); }

  void Carry() {
    for (;;) {
      const auto stolen = deque_.Steal();
      if (stolen.outcome == StealOutcome::kStolen) {
        if (idle_.EndSearch(parked_.idle)) Notify();
      } else if (stolen.outcome == StealOutcome::kEmpty && !idle_.BeginSearch(parked_.idle, 2)) {
        const bool notifies = idle_.Park(
            parked_.idle,
            [this] {
              ForcePublication();
              return deque_.SizeEstimate() > 0;
            },
            [this] {
              if (parked_.rung.exchange(0, relaxed) == 0) FutexWait(parked_.rung, 0);
              parked_.rung.exchange(0, relaxed);
            });
        if (notifies) Notify();
      }
    }
  }

  // As Carrier::ForcePublication().
  void ForcePublication() {
    const bool biased = deque_.RevokeBias();
    if (biased) {
      HeavyFence();
      deque_.BiasRevoked();
    }
    deque_.Leave();
  }

  void Notify() {
    (void)idle_.Notify([this] { return parked_.idle.IsParked() ? &parked_ : nullptr; },
                       [](Carrier& carrier) {
                         if (carrier.rung.exchange(1, relaxed) == 0) FutexWake(carrier.rung, 1);
                       });
  }

  const int operations_;
  IdleCarriers idle_;
  WorkStealingDeque<int> deque_{4};  // of the busy carrier
  Carrier parked_;
  int items_[8];
  int pushed_ = 0;
};

const model::Component& PublishComponent() {
  static const model::Component component = {
      "publish",
      {model::Of<Pushing>("a push", {.preemptions = 3}, 1), model::Of<Pushing>("2 operations", {}, 2),
       model::Nightly(model::Of<Pushing>("3 operations", {}, 3))}};
  return component;
}

TEST(PublishModelTest, NoWorkIsLeftInADequeWithAllOthersParked) { model::Prove(PublishComponent()); }

TEST(PublishModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(PublishComponent()); }

const model::Component& IdleComponent() {
  static const model::Component component = {
      "idle",
      {model::Of<Idling<1, 1, 3>>("a maker of 3 and a carrier", {.spurious_wakes = 1}),
       model::Of<Idling<2, 1, 1>>("2 makers and a carrier", {}),
       model::Of<Idling<1, 2, 1>>("a maker and 2 carriers", {.preemptions = 1}),
       model::Of<Idling<1, 2, 1, Form::kLastRetires>>("a maker, a carrier, and one that retires", {.preemptions = 1}),
       model::Of<Idling<2, 2, 1, Form::kEachComputes>>("2 makers and 2 carriers that compute", {.preemptions = 1}),
       model::Of<Watching<2, 1>>("2 carriers, of which one watches", {.preemptions = 1}, 0),
       model::Of<Watching<2, 1>>("2 carriers, of which one wakes", {.preemptions = 0}, 1),
       model::Of<Watching<3, 1>>("3 carriers, of which one watches", {.preemptions = 0}, 0),
       model::Of<Watching<3, 1>>("3 carriers, of which one wakes", {.preemptions = 0}, 1),
       model::Nightly(model::Of<Watching<2, 1>>("2 carriers, of which one wakes, interrupted", {.preemptions = 1}, 1)),
       model::Nightly(model::Of<Watching<3, 2>>("3 carriers, of which two compute", {.preemptions = 1}, 0)),
       model::Nightly(model::Of<Idling<2, 1, 2>>("2 makers of 2 and a carrier", {})),
       model::Nightly(model::Of<Idling<1, 2, 1>>("a maker and 2 carriers, interrupted twice", {})),
       model::Nightly(model::Of<Idling<1, 2, 2>>("a maker of 2 and 2 carriers", {}))}};
  return component;
}

TEST(IdleCarriersModelTest, NoWorkIsLeftWithAllCarriersParked) { model::Prove(IdleComponent()); }

TEST(IdleCarriersModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(IdleComponent()); }

}  // namespace
}  // namespace weft::internal
