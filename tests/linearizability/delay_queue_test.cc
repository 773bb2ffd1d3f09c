// Row L1 for the delay queue. (harness.h) When a value's time has come is an event of the object's own; that none is
// received earlier, the object asserts itself. The row has two delays only, none and a millisecond: so the values whose
// time is still to come are in the order in which they were sent.
//
// A receive that is cancelled keeps its turn until its thread has run: till then others wait, or find nothing, although
// a value may be there. So for the model it may be cancelled although a value is there; that none waits for long beside
// one, the object asserts as well.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/channel/delay_queue.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr Answer kNo = 0, kYes = 1, kNothing = 0, kTooEarly = -1, kMissed = -2;

// A faulty one has a checkpoint behind a receive: whoever is cancelled there loses a value.
template <bool kLosesValues = false>
struct DelayQueueRow {
  static constexpr std::string_view kName = "DelayQueue";
  enum Kind { kSend, kSendForLater, kReceive, kTryReceive, kClose, kSize, kTimeComes };
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {"Send",  "Send for later", "Receive",         "TryReceive",
                                   "Close", "size",           "(its time comes)"};
    return absl::StrCat(kNames[static_cast<size_t>(call.kind)], " ", call.argument);
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {kSend,    kSend,    kSendForLater, kSendForLater, kSendForLater, kReceive,
                                   kReceive, kReceive, kReceive,      kTryReceive,   kTryReceive,   kSize};
    return {dice.Roll(20) == 0 ? kClose : kKinds[static_cast<size_t>(dice.Roll(kKinds.size()))], number};
  }
  static std::vector<Call> Epilogue() {
    return {{kSize}, {kTryReceive}, {kClose}, {kReceive}, {kReceive}, {kTryReceive}, {kSize}};
  }

  class Object {
   public:
    explicit Object(int64_t) {}
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int, Call call) {
      switch (call.kind) {
        case kSend:
          co_return Send(call, absl::ZeroDuration());
        case kSendForLater: {
          const bool sent = Send(call, kLater);
          if (sent) history_->AddOwn({kTimeComes, call.argument});
          co_return sent;
        }
        case kReceive: {
          Waits waits{*this};
          const auto received = co_await queue_.Receive();
          waits.over = true;
          if (kLosesValues) co_await Yield();
          co_return AnswerOf(received);
        }
        case kTryReceive:
          co_return AnswerOf(queue_.TryReceive());
        case kClose:
          co_return queue_.Close() ? kYes : kNo;
        default:
          co_return missed_ ? kMissed : static_cast<Answer>(queue_.size());
      }
    }
    void Leave(int) {}

   private:
    static constexpr absl::Duration kLater = absl::Milliseconds(1);
    // A receive. Time passes when nothing else can happen: who is cancelled after a long wait has missed what is there.
    struct Waits {
      ~Waits() {
        if (!over && MonotonicNow() - begin > absl::Minutes(1) && object.queue_.size() > 0) object.missed_ = true;
      }
      Object& object;
      bool over = false;
      const MonotonicTime begin = MonotonicNow();
    };
    struct Value {
      int64_t number;
      MonotonicTime due;
    };

    bool Send(Call call, absl::Duration delay) {
      return queue_.Send(std::make_unique<Value>(call.argument, MonotonicNow() + delay), delay);
    }
    static Answer AnswerOf(const std::optional<std::unique_ptr<Value>>& value) {
      if (!value.has_value()) return kNothing;
      return MonotonicNow() < (*value)->due ? kTooEarly : (*value)->number;
    }

    DelayQueue<std::unique_ptr<Value>> queue_;
    History* history_ = nullptr;
    bool missed_ = false;
  };

  // The first of those who wait has the turn: it takes a value when it runs. Until then nobody else takes one.
  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kSend:
        case kSendForLater:
          if (closed_) return kNo;
          values_.insert(call.kind == kSend ? FirstToCome() : values_.end(), {call.argument, call.kind == kSend});
          return kYes;
        case kTimeComes: {
          const auto next = FirstToCome();
          if (next == values_.end() || next->number != call.argument) return std::nullopt;
          next->is_due = true;
          return kNo;
        }
        case kReceive:
          if (!empty() || !IsOver()) return Add(thread, call);
          return TakeFirst();
        case kTryReceive:
          return empty() && IsOver() ? TakeFirst() : kNothing;
        case kClose:
          return std::exchange(closed_, true) ? kNo : kYes;
        case kSize:
          return static_cast<Answer>(values_.size());
        default:
          return kNo;  // kLeave
      }
    }
    std::optional<Answer> Take(int thread) {
      if (empty() || front().thread != thread || !IsOver()) return std::nullopt;
      WaitingCalls::Withdraw(thread);
      return TakeFirst();
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.closed_, m.values_);
    }

   private:
    struct Delayed {
      int64_t number;
      bool is_due;
      bool operator==(const Delayed&) const = default;
      template <class H>
      friend H AbslHashValue(H h, const Delayed& d) {
        return H::combine(std::move(h), d.number, d.is_due);
      }
    };

    // Those whose time has come stand in front.
    std::vector<Delayed>::iterator FirstToCome() {
      return std::find_if(values_.begin(), values_.end(), [](const Delayed& each) { return !each.is_due; });
    }
    // Is a receive that has the turn over?
    bool IsOver() const { return values_.empty() ? closed_ : values_.front().is_due; }
    Answer TakeFirst() {
      if (values_.empty()) return kNothing;
      const int64_t first = values_.front().number;
      values_.erase(values_.begin());
      return first;
    }
    bool closed_ = false;
    std::vector<Delayed> values_;
  };
};

// With a fault.
TEST(DelayQueueLinearizabilityTest, TheHarnessFindsThatAValueIsLostByACancellation) {
  EXPECT_NE(FindViolation<DelayQueueRow<true>>(kScenarios, 1), "");
}

TEST(DelayQueueLinearizabilityTest, ValuesAreReceivedOnceInTheOrderOfTheirTimes) {
  ProveLinearizable<DelayQueueRow<>>();
}

}  // namespace
}  // namespace weft::testing
