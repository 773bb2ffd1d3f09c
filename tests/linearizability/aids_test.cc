// Row L1 for what virtual threads meet at: latch, barrier, phaser, exchanger, once. (harness.h)
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/cancellation.h"
#include "weft/sync/barrier.h"
#include "weft/sync/exchanger.h"
#include "weft/sync/latch.h"
#include "weft/sync/once.h"
#include "weft/sync/phaser.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr Answer kNo = 0, kYes = 1;

struct LatchRow {
  static constexpr std::string_view kName = "Latch";
  enum Kind { kWait, kArriveAndWait, kCountDown, kTryWait, kCount };
  static std::string NameOf(Call call) {
    return std::array{"Wait", "ArriveAndWait", "CountDown", "TryWait", "count"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kWait, kWait, kArriveAndWait, kArriveAndWait, kCountDown, kTryWait, kCount}[dice.Roll(7)]};
  }
  static std::vector<Call> Epilogue() { return {{kCount}, {kTryWait}}; }
  static int64_t CountOf(int64_t variant) { return variant % 5; }

  class Object {
   public:
    explicit Object(int64_t variant) : latch_(CountOf(variant)) {}
    Task<Answer> Make(int, Call call) {
      if (call.kind == kWait) co_await latch_.Wait();
      if (call.kind == kArriveAndWait) co_await latch_.ArriveAndWait();
      if (call.kind == kCountDown) latch_.CountDown();
      if (call.kind == kCount) co_return latch_.count();
      co_return call.kind == kTryWait && latch_.TryWait() ? kYes : kNo;
    }
    void Leave(int) {}

   private:
    Latch latch_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant) : count_(CountOf(variant)) {}
    std::optional<Answer> Begin(int thread, Call call) {
      if (call.kind == kCount) return count_;
      if (call.kind == kTryWait) return count_ == 0 ? kYes : kNo;
      if (count_ > 0 && (call.kind == kCountDown || call.kind == kArriveAndWait)) --count_;
      if (count_ > 0) return call.kind == kWait || call.kind == kArriveAndWait ? Add(thread, call) : Done();
      while (!empty()) Give(front().thread, kNo);
      return kNo;
    }
    // What it has counted is taken back.
    bool Withdraw(int thread) {
      for (const Waiting& each : all()) count_ += each.thread == thread && each.call.kind == kArriveAndWait;
      return WaitingCalls::Withdraw(thread);
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.count_);
    }

   private:
    static std::optional<Answer> Done() { return kNo; }
    int64_t count_;
  };
};

// A party that is cancelled has done something: it has broken the barrier.
struct BarrierRow {
  static constexpr std::string_view kName = "Barrier";
  enum Kind { kArriveAndWait, kReset, kIsBroken, kWaiting };
  static constexpr Answer kBroken = -2, kCancelledAtOnce = -3;
  static std::string NameOf(Call call) {
    return std::array{"ArriveAndWait", "Reset", "IsBroken", "waiting"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kArriveAndWait, kArriveAndWait, kArriveAndWait, kArriveAndWait, kReset, kIsBroken,
                       kWaiting}[dice.Roll(7)]};
  }
  static std::vector<Call> Epilogue() { return {{kIsBroken}, {kWaiting}}; }
  static int64_t PartiesOf(int64_t variant) { return 1 + variant % 3; }

  class Object {
   public:
    explicit Object(int64_t variant)
        : barrier_(variant % 2 == 0 ? Barrier(PartiesOf(variant)) : Barrier(PartiesOf(variant), [] {})) {}
    Task<Answer> Make(int, Call call) {
      if (call.kind == kArriveAndWait) {
        const absl::StatusOr<int64_t> met = co_await barrier_.ArriveAndWait();
        co_return met.ok() ? *met : kBroken;
      }
      if (call.kind == kReset) barrier_.Reset();
      if (call.kind == kWaiting) co_return barrier_.waiting();
      co_return call.kind == kIsBroken && barrier_.IsBroken() ? kYes : kNo;
    }
    void Leave(int) {}

   private:
    Barrier barrier_;
  };

  class Model : public WaitingCalls {
   public:
    static constexpr bool kCancelledMayHaveHappened = true;

    explicit Model(int64_t variant) : parties_(PartiesOf(variant)) {}
    static int Choices(Call call) { return call.kind == kArriveAndWait ? 2 : 1; }
    void Prefer(int choice) { cancelled_at_once_ = choice == 1; }
    std::optional<Answer> Begin(int thread, Call call) {
      const bool cancelled_at_once = std::exchange(cancelled_at_once_, false);
      if (call.kind == kIsBroken) return broken_ ? kYes : kNo;
      if (call.kind == kWaiting) return static_cast<Answer>(all().size());
      if (call.kind == kReset) {
        Break();
        broken_ = false;
      }
      if (call.kind != kArriveAndWait) return kNo;
      if (cancelled_at_once) {
        Break();
        return kCancelledAtOnce;
      }
      if (broken_) return kBroken;
      if (static_cast<int64_t>(all().size()) < parties_ - 1) return Add(thread, call);
      for (Answer still_to_come = parties_ - 1; !empty(); --still_to_come) Give(front().thread, still_to_come);
      return 0;
    }
    bool Withdraw(int thread) {
      if (!WaitingCalls::Withdraw(thread)) return false;
      Break();
      return true;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.broken_);
    }

   private:
    void Break() {
      broken_ = true;
      while (!empty()) Give(front().thread, kBroken);
    }
    int64_t parties_;
    bool broken_ = false;
    bool cancelled_at_once_ = false;
  };
};

// Some phasers terminate by their on_advance, and some only when the last party has left.
struct PhaserRow {
  static constexpr std::string_view kName = "Phaser";
  enum Kind {
    kRegister,
    kArrive,
    kArriveAndDeregister,
    kArriveAndAwaitAdvance,
    kAwaitAdvance,  // of the phase that is the argument
    kTerminate,
    kPhase,
    kRegistered,
    kArrived,
  };
  static constexpr Answer kNobodyIsToArrive = -100;
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {"Register",     "Arrive",    "ArriveAndDeregister", "ArriveAndAwaitAdvance",
                                   "AwaitAdvance", "Terminate", "phase",               "registered",
                                   "arrived"};
    return absl::StrCat(kNames[static_cast<size_t>(call.kind)], " ", call.argument);
  }
  static Call Draw(Dice& dice, int64_t) {
    constexpr std::array kKinds = {kArriveAndAwaitAdvance, kArriveAndAwaitAdvance, kArriveAndAwaitAdvance,
                                   kArriveAndAwaitAdvance, kAwaitAdvance,          kAwaitAdvance,
                                   kArrive,                kArrive,                kArriveAndDeregister,
                                   kRegister,              kPhase,                 kRegistered,
                                   kArrived,               kTerminate};
    const Kind kind = kKinds[static_cast<size_t>(dice.Roll(kKinds.size()))];
    return {kind, kind == kAwaitAdvance ? dice.Roll(3) : 0};
  }
  static std::vector<Call> Epilogue() { return {{kPhase}, {kRegistered}, {kArrived}, {kArrive}, {kPhase}}; }
  static int64_t PartiesOf(int64_t variant) { return variant % 4; }
  static bool HasOnAdvance(int64_t variant) { return variant / 4 % 2 == 0; }
  // Terminates after the second phase, but not when the last party leaves.
  static bool OnAdvance(int64_t phase, int64_t) { return phase == 1; }

  class Object {
   public:
    explicit Object(int64_t variant)
        : phaser_(PartiesOf(variant), HasOnAdvance(variant) ? Phaser::OnAdvance(&OnAdvance) : nullptr) {}
    Task<Answer> Make(int, Call call) {
      const bool arrives = call.kind == kArrive || call.kind == kArriveAndDeregister ||
                           call.kind == kArriveAndAwaitAdvance;
      // It would be a CHECK.
      if (arrives && !phaser_.IsTerminated() && phaser_.arrived() == phaser_.registered()) co_return kNobodyIsToArrive;
      switch (call.kind) {
        case kRegister:
          co_return phaser_.Register();
        case kArrive:
          co_return phaser_.Arrive();
        case kArriveAndDeregister:
          co_return phaser_.ArriveAndDeregister();
        case kArriveAndAwaitAdvance:
          co_return co_await phaser_.ArriveAndAwaitAdvance();
        case kAwaitAdvance:
          co_return co_await phaser_.AwaitAdvance(call.argument);
        case kTerminate:
          phaser_.Terminate();
          co_return kYes;
        case kPhase:
          co_return phaser_.phase();
        case kRegistered:
          co_return phaser_.registered();
        default:
          co_return phaser_.arrived();
      }
    }
    void Leave(int) {}

   private:
    Phaser phaser_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant)
        : has_on_advance_(HasOnAdvance(variant)), registered_(PartiesOf(variant)), unarrived_(registered_) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kLeave:
          return kNo;
        case kPhase:
          return Phase();
        case kRegistered:
          return registered_;
        case kArrived:
          return registered_ - unarrived_;
        case kTerminate:
          terminated_ = true;
          LetGoOn();
          return kYes;
        default:
          break;
      }
      if (terminated_) return Phase();
      if (call.kind == kAwaitAdvance) return call.argument != phase_ ? std::optional(Phase()) : Add(thread, call);
      if (call.kind == kRegister) {
        ++registered_;
        ++unarrived_;
        return phase_;
      }
      if (unarrived_ == 0) return kNobodyIsToArrive;
      const int64_t phase = phase_;
      --unarrived_;
      registered_ -= call.kind == kArriveAndDeregister;
      if (unarrived_ > 0) return call.kind == kArriveAndAwaitAdvance ? Add(thread, {call.kind, phase}) : Given(phase);
      Advance();
      return call.kind == kArriveAndAwaitAdvance ? Phase() : phase;
    }
    // Its arrival is taken back.
    bool Withdraw(int thread) {
      for (const Waiting& each : all()) {
        unarrived_ += each.thread == thread && each.call.kind == kArriveAndAwaitAdvance;
      }
      return WaitingCalls::Withdraw(thread);
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.phase_, m.registered_, m.unarrived_,
                        m.terminated_);
    }

   private:
    static std::optional<Answer> Given(int64_t phase) { return phase; }
    int64_t Phase() const { return terminated_ ? ~phase_ : phase_; }
    void Advance() {
      terminated_ = has_on_advance_ ? OnAdvance(phase_, registered_) : registered_ == 0;
      ++phase_;
      unarrived_ = registered_;
      LetGoOn();
    }
    // All who wait do so for the phase that is over now.
    void LetGoOn() {
      while (!empty()) Give(front().thread, Phase());
    }
    bool has_on_advance_;
    int64_t phase_ = 0;
    int64_t registered_;
    int64_t unarrived_;  // of registered_
    bool terminated_ = false;
  };
};

struct ExchangerRow {
  static constexpr std::string_view kName = "Exchanger";
  enum Kind { kExchange };
  static std::string NameOf(Call call) { return absl::StrCat("Exchange of ", call.argument); }
  static Call Draw(Dice&, int64_t number) { return {kExchange, number}; }
  static std::vector<Call> Epilogue() { return {}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int, Call call) { co_return co_await exchanger_.Exchange(call.argument); }
    void Leave(int) {}

   private:
    Exchanger<int64_t> exchanger_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      if (call.kind == kLeave) return kNo;
      if (empty()) return Add(thread, call);
      const Answer theirs = front().call.argument;
      Give(front().thread, call.argument);
      return theirs;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m));
    }
  };
};

// What the functions do takes a while, in a shield: so a thread is cancelled only while it waits for its turn. The end
// of a function is what the object does by itself.
struct OnceRow {
  static constexpr std::string_view kName = "Once";
  enum Kind { kSucceeds, kFails, kIsDone, kEnds };
  static constexpr Answer kByAnother = 0, kByThis = 1, kFailed = 2;
  static std::string NameOf(Call call) {
    return std::array{"Run, which succeeds,", "Run, which fails,", "IsDone", "the end of a Run"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t) {
    return {std::array{kSucceeds, kFails, kFails, kFails, kIsDone}[dice.Roll(5)]};
  }
  static std::vector<Call> Epilogue() { return {{kIsDone}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int, Call call) {
      if (call.kind == kIsDone) co_return once_.IsDone() ? kYes : kNo;
      bool mine = false;
      const absl::Status status = co_await once_.Run([&]() -> Task<absl::Status> {
        mine = true;
        co_await Shield(Yield());
        history_->AddOwn({kEnds});
        co_return call.kind == kFails ? absl::DataLossError("as drawn") : absl::OkStatus();
      });
      co_return !mine ? kByAnother : status.ok() ? kByThis : kFailed;
    }
    void Leave(int) {}

   private:
    Once once_;
    History* history_ = nullptr;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      if (call.kind == kIsDone) return done_ ? kYes : kNo;
      if (call.kind == kLeave) return kNo;
      if (call.kind != kEnds) return done_ ? std::optional<Answer>(kByAnother) : Add(thread, call);
      // The first of the queue runs.
      if (empty()) return std::nullopt;
      done_ = front().call.kind == kSucceeds;
      Give(front().thread, done_ ? kByThis : kFailed);
      while (done_ && !empty()) Give(front().thread, kByAnother);
      return kNo;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.done_);
    }

   private:
    bool done_ = false;
  };
};

TEST(LinearizabilityTest, ALatchLetsAllGoOnAtZeroAndACancelledArrivalLeavesNoTrace) { ProveLinearizable<LatchRow>(); }
TEST(LinearizabilityTest, ARoundOfABarrierIsCompleteForAllOrBrokenForAll) { ProveLinearizable<BarrierRow>(); }
TEST(LinearizabilityTest, APhaseEndsForAllWhenAllHaveArrivedAndACancelledArrivalLeavesNoTrace) {
  ProveLinearizable<PhaserRow>();
}
TEST(LinearizabilityTest, ValuesAreExchangedInPairsInTurn) { ProveLinearizable<ExchangerRow>(); }
TEST(LinearizabilityTest, AOnceIsDoneByOneAfterThoseThatHaveFailedInTurn) { ProveLinearizable<OnceRow>(); }

}  // namespace
}  // namespace weft::testing
