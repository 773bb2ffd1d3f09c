// Row L1 for what completes by itself: futures and promises, executors. (harness.h)
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/executor/bounded_executor.h"
#include "weft/executor/executor.h"
#include "weft/executor/future.h"
#include "weft/executor/per_task_executor.h"
#include "weft/executor/promise.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr Answer kNothingToDo = -100;  // the call makes no sense now
constexpr Answer kNo = 0, kYes = 1;

// A value is positive; a failure is its code, negative.
Answer AsAnswer(const absl::StatusOr<Answer>& outcome) {
  return outcome.ok() ? *outcome : -static_cast<Answer>(outcome.status().code());
}
constexpr Answer AsAnswer(absl::StatusCode code) { return -static_cast<Answer>(code); }

template <bool kForgetsCancel = false>
struct FutureRow {
  static constexpr std::string_view kName = "Future and Promise";
  enum Kind { kSetValue, kSetStatus, kBreak, kGet, kIsDone, kCancel };
  static std::string NameOf(Call call) {
    return std::array{"SetValue", "SetStatus", "~Promise", "TryGet", "IsDone", "Cancel"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {kGet, kGet, kGet, kSetValue, kSetValue, kSetStatus, kBreak, kIsDone, kCancel};
    return {kKinds[static_cast<size_t>(dice.Roll(kKinds.size()))], number};
  }
  static std::vector<Call> Epilogue() { return {{kIsDone}, {kBreak}, {kGet}}; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int, Call call) {
      const bool completes = call.kind == kSetValue || call.kind == kSetStatus || call.kind == kBreak;
      if (completes && !promise_.has_value()) co_return kNothingToDo;
      switch (call.kind) {
        case kSetValue:
          co_return promise_->SetValue(call.argument);
        case kSetStatus:
          co_return promise_->SetStatus(absl::DataLossError("as planned"));
        case kBreak:
          promise_.reset();
          co_return kYes;
        case kGet:
          co_return AsAnswer(co_await future_.TryGet());
        case kCancel:
          if (!kForgetsCancel) future_.Cancel();
          co_return kYes;
        default:
          co_return future_.IsDone();
      }
    }
    void Leave(int) {}

   private:
    std::optional<Promise<Answer>> promise_{std::in_place};
    const Future<Answer> future_ = promise_->future();
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kSetValue:
          return Complete(call.argument);
        case kSetStatus:
          return Complete(AsAnswer(absl::StatusCode::kDataLoss));
        case kBreak:
          if (broken_) return kNothingToDo;
          Complete(AsAnswer(absl::StatusCode::kAborted));
          broken_ = true;
          return kYes;
        case kCancel:
          CompleteOnce(AsAnswer(absl::StatusCode::kCancelled));
          return kYes;
        case kIsDone:
          return outcome_.has_value();
        case kLeave:
          return kNo;
        default:
          return outcome_.has_value() ? outcome_ : Add(thread, call);
      }
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.outcome_, m.broken_);
    }

   private:
    Answer Complete(Answer outcome) { return broken_ ? kNothingToDo : CompleteOnce(outcome) ? kYes : kNo; }
    bool CompleteOnce(Answer outcome) {
      if (outcome_.has_value()) return false;
      outcome_ = outcome;
      while (!empty()) Give(front().thread, outcome);
      return true;
    }
    std::optional<Answer> outcome_;
    bool broken_ = false;
  };
};

// A task returns its number, after some turns or when the gate is open. That it has ended, and what the executor does
// then, happens by itself. All calls about one task are about the one that was submitted last.
template <class Tested, int64_t kPlacesTooMany = 0>
struct ExecutorRow {
  static constexpr bool kBounded = std::is_same_v<Tested, BoundedExecutor>;
  static constexpr std::string_view kName = kBounded ? "BoundedExecutor" : "VirtualThreadPerTaskExecutor";
  enum Kind {
    kSubmit,
    kSubmitWhenFree,
    kOpenGate,
    kGet,
    kIsDone,
    kCancel,
    kShutdown,
    kShutdownNow,
    kIsShutdown,
    kIsTerminated,
    kAwaitTermination,
    kReturned,
    kUnwound,  // a task
    kPlaceFree,
    kLeft,  // a task has left
  };
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {
        "Submit",        "SubmitWhenFree",      "(gate opens)", "TryGet",       "IsDone",           "Cancel",
        "Shutdown",      "ShutdownNow",         "IsShutdown",   "IsTerminated", "AwaitTermination", "(returned)",
        "(was unwound)", "(its place is free)", "(left)"};
    return absl::StrCat(kNames[static_cast<size_t>(call.kind)], " ", call.argument);
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {
        kSubmit,   kSubmit,      kSubmit,     kSubmit,       kSubmitWhenFree,   kSubmitWhenFree,
        kOpenGate, kGet,         kGet,        kGet,          kIsDone,           kCancel,
        kShutdown, kShutdownNow, kIsShutdown, kIsTerminated, kAwaitTermination, kAwaitTermination};
    return {kKinds[static_cast<size_t>(dice.Roll(kKinds.size()))], number};
  }
  static std::vector<Call> Epilogue() { return {{kShutdownNow}, {kAwaitTermination}, {kIsTerminated}, {kGet}}; }

  class Object {
   public:
    explicit Object(int64_t variant) : executor_(Make(variant)) {}
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int, Call call) {
      switch (call.kind) {
        case kSubmit:
          newest_ = executor_->Submit(TaskOf(call.argument));
          break;
        case kSubmitWhenFree:
          if constexpr (kBounded) {
            newest_ = co_await executor_->SubmitWhenFree(TaskOf(call.argument));
          } else {
            newest_ = executor_->Submit(TaskOf(call.argument));
          }
          break;
        case kOpenGate:
          gate_.Set();
          co_return kYes;
        case kShutdown:
          executor_->Shutdown();
          co_return kYes;
        case kShutdownNow:
          executor_->ShutdownNow();
          co_return kYes;
        case kIsShutdown:
          co_return executor_->IsShutdown();
        case kIsTerminated:
          co_return executor_->IsTerminated();
        case kAwaitTermination:
          co_return co_await executor_->AwaitTermination();
        default:
          if (!newest_.IsValid()) co_return kNothingToDo;
          if (call.kind == kGet) co_return AsAnswer(co_await newest_.TryGet());
          if (call.kind == kIsDone) co_return newest_.IsDone();
          newest_.Cancel();
          co_return kYes;
      }
      co_return newest_.IsDone() ? kNo : kYes;  // it cannot have run
    }
    void Leave(int) {}

   private:
    // Tells when the closure of a task goes.
    struct Ends {
      Ends(History* in, int64_t of) : history(in), number(of) {}
      Ends(Ends&& other) noexcept : history(std::exchange(other.history, nullptr)), number(other.number) {}
      ~Ends() {
        if (history == nullptr) return;
        for (const Kind kind : {kPlaceFree, returned ? kReturned : kUnwound, kLeft}) {
          if (kind != kPlaceFree || kBounded) history->AddOwn({kind, number});
        }
      }
      History* history;
      const int64_t number;
      bool returned = false;
    };

    static std::unique_ptr<Tested> Make(int64_t variant) {
      if constexpr (kBounded) {
        return std::make_unique<Tested>(PlacesOf(variant) + kPlacesTooMany);
      } else {
        return std::make_unique<Tested>();
      }
    }
    auto TaskOf(int64_t number) {
      return [this, ends = Ends(history_, number)]() mutable -> Task<Answer> {
        if (ends.number % 3 == 0) co_await gate_.Wait();
        for (int64_t yields = ends.number % 3; yields > 0; --yields) co_await Yield();
        ends.returned = true;
        co_return ends.number;
      };
    }

    History* history_ = nullptr;
    Event gate_;
    Future<Answer> newest_;
    std::unique_ptr<Tested> executor_;  // the last: its tasks use the others
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant) : places_(PlacesOf(variant)) {}

    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kSubmit:
          return Submit(call.argument, !shut_ && places_ > 0);
        case kSubmitWhenFree:
          if (places_ == 0) return Add(thread, call);
          return Submit(call.argument, !shut_);
        case kGet:
          return newest_ == 0         ? kNothingToDo
                 : Of(newest_).done() ? std::optional(Of(newest_).outcome)
                                      : Add(thread, {kGet, newest_});
        case kIsDone:
          return newest_ == 0 ? kNothingToDo : Of(newest_).done();
        case kCancel:
          if (newest_ == 0) return kNothingToDo;
          Of(newest_).asked = true;
          return kYes;
        case kShutdownNow:
          for (Submitted& each : submitted_) each.asked = true;
          [[fallthrough]];
        case kShutdown:
          shut_ = true;
          EndIfAllHaveLeft();
          return kYes;
        case kIsShutdown:
          return shut_;
        case kIsTerminated:
          return terminated_;
        case kAwaitTermination:
          return terminated_ ? std::optional<Answer>(kYes) : Add(thread, call);
        case kReturned:
          return Complete(call.argument, call.argument);
        case kUnwound:
          return Complete(call.argument, AsAnswer(absl::StatusCode::kCancelled));
        case kPlaceFree:
          return FreePlace(call.argument);
        case kLeft:
          return Leave(call.argument);
        default:
          return call.kind == kLeave ? kNo : kYes;  // the gate: when a task goes on is its own affair
      }
    }
    // It has a place. Only now it submits.
    std::optional<Answer> Take(int thread) {
      const std::optional<Answer> given = WaitingCalls::Take(thread);
      if (!given.has_value() || *given < kGivenPlace) return given;
      ++places_;
      const std::optional<Answer> submitted = Submit(*given - kGivenPlace, !shut_);
      ServePlaces();
      return submitted;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.submitted_, m.newest_, m.places_, m.shut_,
                        m.terminated_);
    }

   private:
    static constexpr Answer kGivenPlace = 1'000'000;
    struct Submitted {
      int64_t number;
      Answer outcome = 0;
      bool asked = false, place_free = false, left = false;
      bool done() const { return outcome != 0; }
      bool operator==(const Submitted&) const = default;
      template <class H>
      friend H AbslHashValue(H h, const Submitted& s) {
        return H::combine(std::move(h), s.number, s.outcome, s.asked, s.place_free, s.left);
      }
    };

    Submitted& Of(int64_t number) {
      return *std::find_if(submitted_.begin(), submitted_.end(),
                           [number](const Submitted& each) { return each.number == number; });
    }
    bool Knows(int64_t number) const {
      return std::any_of(submitted_.begin(), submitted_.end(),
                         [number](const Submitted& each) { return each.number == number; });
    }
    std::optional<Answer> Submit(int64_t number, bool accepted) {
      newest_ = number;
      submitted_.push_back({number});
      if (accepted) {
        --places_;
        return kYes;
      }
      submitted_.back().outcome =
          AsAnswer(shut_ ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kResourceExhausted);
      submitted_.back().left = submitted_.back().place_free = true;
      return kNo;
    }
    std::optional<Answer> Complete(int64_t number, Answer outcome) {
      if (!Knows(number) || Of(number).done() || (kBounded && !Of(number).place_free)) return std::nullopt;
      if (outcome < 0 && !Of(number).asked) return std::nullopt;
      Of(number).outcome = outcome;
      for (const Waiting& each : std::vector(all())) {
        if (each.call == Call{kGet, number}) Give(each.thread, outcome);
      }
      return kYes;
    }
    std::optional<Answer> FreePlace(int64_t number) {
      if (!Knows(number) || Of(number).place_free) return std::nullopt;
      Of(number).place_free = true;
      ++places_;
      ServePlaces();
      return kYes;
    }
    void ServePlaces() {
      for (const Waiting& each : std::vector(all())) {
        if (each.call.kind != kSubmitWhenFree || places_ == 0) continue;
        --places_;
        Give(each.thread, kGivenPlace + each.call.argument);
      }
    }
    std::optional<Answer> Leave(int64_t number) {
      if (!Knows(number) || !Of(number).done() || (kBounded && !Of(number).place_free) || Of(number).left)
        return std::nullopt;
      Of(number).left = true;
      EndIfAllHaveLeft();
      return kYes;
    }
    void EndIfAllHaveLeft() {
      if (!shut_ || !std::all_of(submitted_.begin(), submitted_.end(), [](const Submitted& each) { return each.left; }))
        return;
      terminated_ = true;
      for (const Waiting& each : std::vector(all())) {
        if (each.call.kind == kAwaitTermination) Give(each.thread, kYes);
      }
    }

    std::vector<Submitted> submitted_;
    int64_t newest_ = 0;  // 0: none yet
    int64_t places_;
    bool shut_ = false;
    bool terminated_ = false;
  };

 private:
  static int64_t PlacesOf(int64_t variant) { return kBounded ? 1 + variant % 2 : 1'000; }
};

// With a fault each.
TEST(LinearizabilityHarnessTest, FindsThatAFutureIsNotCancelledAndThatAPlaceIsOneTooMany) {
  EXPECT_NE(FindViolation<FutureRow<true>>(kScenarios, 1), "");
  EXPECT_NE((FindViolation<ExecutorRow<BoundedExecutor, 1>>(kScenarios, 1)), "");
}

TEST(LinearizabilityTest, AFutureIsCompletedOnceAndAllReadTheSame) { ProveLinearizable<FutureRow<>>(); }
TEST(LinearizabilityTest, AnExecutorTerminatesWhenItIsShutDownAndAllItsTasksHaveEnded) {
  ProveLinearizable<ExecutorRow<VirtualThreadPerTaskExecutor>>();
}
TEST(LinearizabilityTest, ABoundedExecutorGivesItsPlacesInTurnAndLosesNone) {
  ProveLinearizable<ExecutorRow<BoundedExecutor>>();
}

}  // namespace
}  // namespace weft::testing
