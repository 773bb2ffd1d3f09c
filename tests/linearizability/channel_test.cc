// Row L1 for channels of each kind, and for selects that send and receive in two of them. (harness.h)
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

constexpr Answer kNo = 0, kYes = 1, kNothing = 0;

using Value = std::unique_ptr<int64_t>;

// The value is sent, or is where it was.
Answer AnswerOfSend(bool sent, const Value& value) { return sent == (value == nullptr) ? (sent ? kYes : kNo) : -1; }
Answer AnswerOfReceive(const std::optional<Value>& value) { return value.has_value() ? **value : kNothing; }

// A channel, as in a textbook. Who waits is in the model's queue.
struct Kept {
  static constexpr int64_t kUnboundedHere = 1000;
  int64_t capacity = 0;
  bool conflated = false;
  bool closed = false;
  std::vector<int64_t> values;

  bool full() const { return static_cast<int64_t>(values.size()) >= capacity; }
  int64_t TakeFirst() {
    const int64_t first = values.front();
    values.erase(values.begin());
    return first;
  }
  bool operator==(const Kept&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Kept& k) {
    return H::combine(std::move(h), k.closed, k.values);
  }
};

template <int64_t kCapacity, bool kNewest>
struct ChannelRow {
  static constexpr std::string_view kName = kNewest                             ? "Channel that is conflated"
                                            : kCapacity == 0                    ? "Channel without places"
                                            : kCapacity == Kept::kUnboundedHere ? "Channel that is unbounded"
                                                                                : "Channel of two";
  enum Kind { kSend, kTrySend, kReceive, kTryReceive, kReceiveMany, kClose, kSize };
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {"Send",        "TrySend", "Receive", "TryReceive",
                                   "ReceiveMany", "Close",   "size"};
    return kNames[call.kind] + (call.kind <= kTrySend ? " " + std::to_string(call.argument) : "");
  }
  static Call Draw(Dice& dice, int64_t number) {
    const int64_t roll = dice.Roll(24);
    if (roll < 8) return {kSend, number};
    if (roll < 16) return {kReceive};
    constexpr std::array kOthers = {kTrySend,     kTrySend,     kTryReceive, kTryReceive,
                                    kReceiveMany, kReceiveMany, kClose,      kSize};
    return {kOthers[roll - 16], number};
  }
  static std::vector<Call> Epilogue() {
    return {{kSize}, {kTryReceive}, {kTryReceive}, {kTryReceive}, {kClose}, {kReceiveMany}};
  }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int, Call call) {
      Value value = std::make_unique<int64_t>(call.argument);
      switch (call.kind) {
        case kSend: {
          const bool sent = co_await channel_->Send(std::move(value));
          co_return AnswerOfSend(sent, value);
        }
        case kTrySend: {
          const bool sent = channel_->TrySend(std::move(value));
          co_return AnswerOfSend(sent, value);
        }
        case kReceive:
          co_return AnswerOfReceive(co_await channel_->Receive());
        case kTryReceive:
          co_return AnswerOfReceive(channel_->TryReceive());
        case kReceiveMany: {
          std::vector<Value> some;
          co_await channel_->ReceiveMany(some, 1);
          co_return some.empty() ? kNothing : *some[0];
        }
        case kClose:
          co_return channel_->Close() ? kYes : kNo;
        default:
          co_return static_cast<Answer>(channel_->size());
      }
    }
    void Leave(int) {}

   private:
    static std::unique_ptr<Channel<Value>> New() {
      if (kNewest) return std::make_unique<Channel<Value>>(kConflated);
      if (kCapacity == Kept::kUnboundedHere) return std::make_unique<Channel<Value>>(kUnbounded);
      return std::make_unique<Channel<Value>>(kCapacity);
    }
    std::unique_ptr<Channel<Value>> channel_ = New();
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) { kept_.capacity = kCapacity; }
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kSend:
        case kTrySend:
          if (kept_.closed) return kNo;
          if (!empty() && front().call.kind != kSend) return GiveTo(front().thread, call.argument);
          if (kNewest) kept_.values.clear();
          if (kept_.full()) return call.kind == kSend ? Add(thread, call) : std::optional<Answer>(kNo);
          kept_.values.push_back(call.argument);
          return kYes;
        case kReceive:
        case kTryReceive:
        case kReceiveMany: {
          const bool sender = !empty() && front().call.kind == kSend;
          if (sender) kept_.values.push_back(front().call.argument);
          if (sender) Give(front().thread, kYes);
          if (!kept_.values.empty()) return kept_.TakeFirst();
          return kept_.closed || call.kind == kTryReceive ? std::optional<Answer>(kNothing) : Add(thread, call);
        }
        case kClose:
          if (std::exchange(kept_.closed, true)) return kNo;
          while (!empty()) Give(front().thread, kNo);
          return kYes;
        case kSize:
          return static_cast<Answer>(kept_.values.size());
        default:
          return kNo;  // kLeave
      }
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.kept_);
    }

   private:
    Answer GiveTo(int thread, int64_t value) {
      Give(thread, value);
      return kYes;
    }
    Kept kept_;
  };
};

// Two channels, and calls that wait in one, in both, or twice in one.
struct SelectRow {
  static constexpr std::string_view kName = "Select";
  struct Case {
    int channel;
    bool sends;
  };
  struct Kind {
    const char* name;
    bool waits;
    std::vector<Case> cases;
  };
  static const std::vector<Kind>& Kinds() {
    static const std::vector<Kind> kinds = {
        {"a.Send", true, {{0, true}}},
        {"b.Send", true, {{1, true}}},
        {"a.Receive", true, {{0, false}}},
        {"b.Receive", true, {{1, false}}},
        {"Select(a.Receive, b.Receive)", true, {{0, false}, {1, false}}},
        {"Select(a.Send, b.Send)", true, {{0, true}, {1, true}}},
        {"Select(a.Send, b.Receive)", true, {{0, true}, {1, false}}},
        {"Select(a.Send, a.Receive)", true, {{0, true}, {0, false}}},
        {"a.TrySend", false, {{0, true}}},
        {"a.TryReceive", false, {{0, false}}},
        {"b.TryReceive", false, {{1, false}}},
        {"b.Close", false, {}},
    };
    return kinds;
  }
  enum Numbers { kSelects = 4, kASend = 8, kAReceive, kBReceive, kBClose };
  static std::string NameOf(Call call) { return Kinds()[call.kind].name + (" " + std::to_string(call.argument)); }
  static Call Draw(Dice& dice, int64_t number) {
    if (dice.Roll(2) == 0) return {kSelects + static_cast<int>(dice.Roll(4)), number};
    return {static_cast<int>(dice.Roll(static_cast<int64_t>(Kinds().size()))), number};
  }
  static std::vector<Call> Epilogue() { return {{kASend, 99}, {kAReceive}, {kBReceive}, {kBReceive}, {kBClose}}; }
  static int64_t CapacityOf(int channel, int64_t variant) { return channel == 0 ? variant % 2 : variant / 2 % 3; }

  // Which case, and what it yields.
  static Answer AnswerOf(Case of, Answer yields) { return (of.channel * 2 + of.sends) * 1000 + yields; }

  class Object {
   public:
    explicit Object(int64_t variant) : a_(CapacityOf(0, variant)), b_(CapacityOf(1, variant)) {}

    Task<Answer> Make(int, Call call) {
      Value value = std::make_unique<int64_t>(call.argument);
      Value other = std::make_unique<int64_t>(call.argument);
      const std::vector<Case>& cases = Kinds()[call.kind].cases;
      switch (call.kind) {
        case 0:
        case 1: {
          const bool sent = co_await (call.kind == 0 ? a_ : b_).Send(std::move(value));
          co_return AnswerOf(cases[0], AnswerOfSend(sent, value));
        }
        case 2:
        case 3: {
          auto received = co_await (call.kind == 2 ? a_ : b_).Receive();
          co_return AnswerOf(cases[0], AnswerOfReceive(received));
        }
        case 4: {
          auto got = co_await Select(a_.Receive(), b_.Receive());
          co_return got.index() == 0 ? AnswerOf(cases[0], AnswerOfReceive(std::get<0>(got)))
                                     : AnswerOf(cases[1], AnswerOfReceive(std::get<1>(got)));
        }
        case 5: {
          auto got = co_await Select(a_.Send(std::move(value)), b_.Send(std::move(other)));
          if ((got.index() == 0 ? other : value) == nullptr) co_return -2;
          co_return got.index() == 0 ? AnswerOf(cases[0], AnswerOfSend(std::get<0>(got), value))
                                     : AnswerOf(cases[1], AnswerOfSend(std::get<1>(got), other));
        }
        case 6: {
          auto got = co_await Select(a_.Send(std::move(value)), b_.Receive());
          if (got.index() == 1 && value == nullptr) co_return -2;
          co_return got.index() == 0 ? AnswerOf(cases[0], AnswerOfSend(std::get<0>(got), value))
                                     : AnswerOf(cases[1], AnswerOfReceive(std::get<1>(got)));
        }
        case 7: {
          auto got = co_await Select(a_.Send(std::move(value)), a_.Receive());
          if (got.index() == 1 && value == nullptr) co_return -2;
          co_return got.index() == 0 ? AnswerOf(cases[0], AnswerOfSend(std::get<0>(got), value))
                                     : AnswerOf(cases[1], AnswerOfReceive(std::get<1>(got)));
        }
        case kASend: {
          const bool sent = a_.TrySend(std::move(value));
          co_return AnswerOf(cases[0], AnswerOfSend(sent, value));
        }
        case kAReceive:
          co_return AnswerOf(cases[0], AnswerOfReceive(a_.TryReceive()));
        case kBReceive:
          co_return AnswerOf(cases[0], AnswerOfReceive(b_.TryReceive()));
        default:
          co_return b_.Close() ? kYes : kNo;
      }
    }
    void Leave(int) {}

   private:
    Channel<Value> a_, b_;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant) {
      for (int i = 0; i < 2; ++i) kept_[i].capacity = CapacityOf(i, variant);
    }
    // Of the cases that are there any one may be chosen.
    int Choices(Call call) const {
      return call.kind == kLeave || call.kind == kBClose ? 1 : static_cast<int>(Kinds()[call.kind].cases.size());
    }
    void Prefer(int choice) { preferred_ = choice; }

    std::optional<Answer> Begin(int thread, Call call) {
      const int preferred = std::exchange(preferred_, 0);
      if (call.kind == kLeave) return kNo;
      if (call.kind == kBClose) return Close();
      const Kind& kind = Kinds()[call.kind];
      for (size_t i = 0; i < kind.cases.size(); ++i) {
        const Case& each = kind.cases[(static_cast<size_t>(preferred) + i) % kind.cases.size()];
        const std::optional<Answer> yields = each.sends ? Send(each.channel, call.argument) : Receive(each.channel);
        if (yields.has_value()) return AnswerOf(each, *yields);
      }
      return kind.waits ? Add(thread, call) : std::optional<Answer>(AnswerOf(kind.cases[0], 0));
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.kept_);
    }

   private:
    // The first that waits to send, or to receive, in the channel.
    std::optional<Waiting> First(int channel, bool sends) const {
      for (const Waiting& each : all()) {
        for (const Case& of : Kinds()[each.call.kind].cases) {
          if (of.channel == channel && of.sends == sends) return each;
        }
      }
      return std::nullopt;
    }
    std::optional<Answer> Send(int channel, int64_t value) {
      if (kept_[channel].closed) return kNo;
      if (const std::optional<Waiting> receiver = First(channel, false)) {
        Give(receiver->thread, AnswerOf({channel, false}, value));
        return kYes;
      }
      if (kept_[channel].full()) return std::nullopt;
      kept_[channel].values.push_back(value);
      return kYes;
    }
    std::optional<Answer> Receive(int channel) {
      if (const std::optional<Waiting> sender = First(channel, true)) {
        kept_[channel].values.push_back(sender->call.argument);
        Give(sender->thread, AnswerOf({channel, true}, kYes));
      }
      if (!kept_[channel].values.empty()) return kept_[channel].TakeFirst();
      return kept_[channel].closed ? std::optional<Answer>(kNothing) : std::nullopt;
    }
    Answer Close() {
      if (std::exchange(kept_[1].closed, true)) return kNo;
      for (const bool sends : {false, true}) {
        while (const std::optional<Waiting> each = First(1, sends)) Give(each->thread, AnswerOf({1, sends}, kNo));
      }
      return kYes;
    }

    int preferred_ = 0;
    std::array<Kept, 2> kept_;
  };
};

template <int64_t kCapacity>
struct BroadcastRow {
  static constexpr std::string_view kName = kCapacity == 1 ? "Broadcast of the newest value" : "Broadcast";
  enum Kind { kReceive, kTryReceive, kSend, kClose };
  static std::string NameOf(Call call) { return std::array{"Receive", "TryReceive", "Send", "Close"}[call.kind]; }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {kReceive, kReceive, kReceive, kSend, kSend, kSend, kTryReceive, kTryReceive};
    return {dice.Roll(20) == 0 ? kClose : kKinds[dice.Roll(8)], number};
  }
  static std::vector<Call> Epilogue() { return {{kTryReceive}, {kSend, 99}, {kTryReceive}, {kTryReceive}}; }
  static Answer AnswerOf(int64_t value, uint64_t missed) { return value + 1000 * static_cast<Answer>(missed); }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int thread, Call call) {
      auto& mine = subscribers_[thread];
      if (call.kind == kSend) co_return broadcast_.Send(call.argument) ? kYes : kNo;
      if (call.kind == kClose) co_return broadcast_.Close() ? kYes : kNo;
      const auto got = call.kind == kReceive ? co_await mine.Receive() : mine.TryReceive();
      co_return got.has_value() ? AnswerOf(*got->value, got->missed) : kNothing;
    }
    void Leave(int) {}

   private:
    Broadcast<int64_t> broadcast_{kCapacity};
    PerThread<Broadcast<int64_t>::Subscriber> subscribers_ = {broadcast_.Subscribe(), broadcast_.Subscribe(),
                                                              broadcast_.Subscribe(), broadcast_.Subscribe()};
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      if (call.kind == kLeave) return kNo;
      if (call.kind == kSend || call.kind == kClose) {
        if (closed_) return kNo;
        closed_ = call.kind == kClose;
        if (!closed_) sent_.push_back(call.argument);
        while (!empty()) Give(front().thread, kYes);
        return kYes;
      }
      const bool is_there = seen_[thread] < sent_.size() || closed_ || call.kind == kTryReceive;
      return is_there ? std::optional<Answer>(Read(thread)) : Add(thread, call);
    }
    // Whoever was woken looks when it runs.
    std::optional<Answer> Take(int thread) {
      if (!WaitingCalls::Take(thread).has_value()) return std::nullopt;
      return Read(thread);
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.closed_, m.sent_, m.seen_);
    }

   private:
    Answer Read(int thread) {
      if (seen_[thread] == sent_.size()) return kNothing;
      const size_t oldest = sent_.size() > kCapacity ? sent_.size() - kCapacity : 0;
      const size_t number = std::max(seen_[thread], oldest);
      const uint64_t missed = number - seen_[thread];
      seen_[thread] = number + 1;
      return AnswerOf(sent_[number], missed);
    }
    bool closed_ = false;
    std::vector<int64_t> sent_;
    PerThread<size_t> seen_ = {};
  };
};

// What an Update() computes depends on the value that it replaces. One in three sees another value come while it does.
struct WatchRow {
  static constexpr std::string_view kName = "Watch";
  enum Kind { kNext, kTryNext, kGet, kSet, kUpdate, kUpdateBehindSet, kClose };
  static std::string NameOf(Call call) {
    return std::array{"Next", "TryNext", "Get", "Set", "Update", "UpdateBehindSet", "Close"}[call.kind];
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {kNext, kNext, kNext, kTryNext, kGet, kSet, kSet, kUpdate, kUpdate, kUpdateBehindSet};
    return {dice.Roll(20) == 0 ? kClose : kKinds[dice.Roll(10)], number};
  }
  static std::vector<Call> Epilogue() { return {{kTryNext}, {kUpdate, 99}, {kTryNext}, {kTryNext}, {kGet}}; }
  static int64_t Updated(int64_t value, int64_t number) { return (value * 31 + number) % 1'000'003; }
  static int64_t SetBetween(int64_t number) { return number + 1000; }

  class Object {
   public:
    explicit Object(int64_t) {}
    Task<Answer> Make(int thread, Call call) {
      switch (call.kind) {
        case kNext:
          co_return AnswerOf(co_await readers_[thread].Next());
        case kTryNext:
          co_return AnswerOf(readers_[thread].TryNext());
        case kGet:
          co_return AnswerOf(watch_.Get());
        case kSet:
          co_return watch_.Set(call.argument) ? kYes : kNo;
        case kClose:
          co_return watch_.Close() ? kYes : kNo;
        default: {
          bool is_set_between = call.kind == kUpdateBehindSet;
          const auto update = [&](int64_t value) {
            if (std::exchange(is_set_between, false)) watch_.Set(SetBetween(call.argument));
            return Updated(value, call.argument);
          };
          co_return watch_.Update(update) ? kYes : kNo;
        }
      }
    }
    void Leave(int) {}

   private:
    static Answer AnswerOf(const std::shared_ptr<const int64_t>& value) {
      return value == nullptr ? kNothing : *value + 1;
    }
    Watch<int64_t> watch_{0};
    PerThread<Watch<int64_t>::Reader> readers_ = {watch_.NewReader(), watch_.NewReader(), watch_.NewReader(),
                                                  watch_.NewReader()};
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t) {}
    std::optional<Answer> Begin(int thread, Call call) {
      switch (call.kind) {
        case kLeave:
          return kNo;
        case kNext:
          return seen_[thread] < version_ || closed_ ? std::optional<Answer>(Read(thread)) : Add(thread, call);
        case kTryNext:
          return Read(thread);
        case kGet:
          return value_ + 1;
        default:
          break;
      }
      if (closed_) return kNo;
      closed_ = call.kind == kClose;
      if (!closed_) {
        ++version_;
        if (call.kind == kUpdateBehindSet) value_ = SetBetween(call.argument);
        value_ = call.kind == kSet ? call.argument : Updated(value_, call.argument);
      }
      while (!empty()) Give(front().thread, kYes);
      return kYes;
    }
    // Whoever was woken looks when it runs.
    std::optional<Answer> Take(int thread) {
      if (!WaitingCalls::Take(thread).has_value()) return std::nullopt;
      return Read(thread);
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.closed_, m.value_, m.version_, m.seen_);
    }

   private:
    Answer Read(int thread) {
      return std::exchange(seen_[thread], version_) == version_ ? kNothing : value_ + 1;
    }
    bool closed_ = false;
    int64_t value_ = 0;
    int64_t version_ = 1;  // the first one is there to be seen
    PerThread<int64_t> seen_ = {};
  };
};

TEST(ChannelLinearizabilityTest, ARendezvousIsOneStepOfTwoThreads) { ProveLinearizable<ChannelRow<0, false>>(); }
TEST(ChannelLinearizabilityTest, AChannelOfTwoIsAQueue) { ProveLinearizable<ChannelRow<2, false>>(); }
TEST(ChannelLinearizabilityTest, AnUnboundedChannelIsAQueue) {
  ProveLinearizable<ChannelRow<Kept::kUnboundedHere, false>>();
}
TEST(ChannelLinearizabilityTest, AConflatedChannelIsTheNewestValue) { ProveLinearizable<ChannelRow<1, true>>(); }
TEST(ChannelLinearizabilityTest, EachSubscriberOfABroadcastSeesWhatIsKept) { ProveLinearizable<BroadcastRow<2>>(); }
TEST(ChannelLinearizabilityTest, ABroadcastOfOneKeepsTheNewest) { ProveLinearizable<BroadcastRow<1>>(); }
TEST(ChannelLinearizabilityTest, AWatchIsTheNewestValueForEachReader) { ProveLinearizable<WatchRow>(); }
TEST(ChannelLinearizabilityTest, OneCaseOfASelectHappensAndNothingElse) { ProveLinearizable<SelectRow>(); }

}  // namespace
}  // namespace weft::testing
