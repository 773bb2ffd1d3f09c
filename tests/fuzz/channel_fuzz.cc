// Channels, used by virtual threads in a simulation: every value that was sent is received once, or is still in the
// channel at the end; each receiver gets the values of a sender in their order; a value that was not sent is with its
// sender, unharmed; nobody sends into a channel that is closed, or finds it drained before it is. A program of one
// thread has one outcome, which that of a std::deque is compared with.
//
// An input: the carriers and the seed, the kinds of the channels, and three bytes for each call: which thread makes it,
// what it is, and on which channels. Every wait is over after some milliseconds, so no program waits for ever.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/counted.h"
#include "weft/cancellation.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/internal/check.h"
#include "weft/scope.h"
#include "weft/stop_event.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr int kThreads = 4;
constexpr int kChannels = 3;
constexpr size_t kMaxCalls = 40;
constexpr absl::Duration kPatience = absl::Milliseconds(2);

struct Call {
  enum class Kind : uint8_t {
    kSend,
    kReceive,
    kTrySend,
    kTryReceive,
    kReceiveMany,
    kSelectReceives,  // from a or b
    kSelectSends,     // to a or b
    kSelectBoth,      // from a, or to b, or an event
    kClose,
    kYield,
    kSleep,
    kStop,  // ends thread `b`
    kSet,   // the event
  };
  Kind kind;
  int a;
  int b;
};
constexpr std::array<absl::string_view, 13> kNames = {
    "send",         "receive", "try to send", "try to receive", "receive many", "select receives", "select sends",
    "select both", "close",   "yield",       "sleep",          "stop",         "set"};

struct ChannelProgram {
  explicit ChannelProgram(FuzzInput input) {
    const uint8_t first = input.TakeByte();
    carriers = 1 + first % 3;
    seed = 1 + uint64_t{first} / 3;
    const uint8_t second = input.TakeByte();
    threads.resize(1 + second % kThreads);
    for (int i = 0; i < kChannels; ++i) kinds[i] = (second >> (2 * (i + 1))) % 4 + 2 * (i == 2);
    for (size_t count = 0; !input.empty() && count < kMaxCalls; ++count) {
      const size_t thread = input.TakeByte() % threads.size();
      const uint8_t kind = input.TakeByte();
      const uint8_t channels = input.TakeByte();
      threads[thread].push_back({static_cast<Call::Kind>(kind % kNames.size()), channels % kChannels,
                                 channels / kChannels % kChannels});
    }
  }
  std::string ToString() const {
    std::string text = absl::StrCat(carriers, " carriers, seed ", seed, ", channels ", kinds[0], " ", kinds[1], " ",
                                    kinds[2], "\n");
    for (const std::vector<Call>& calls : threads) {
      absl::StrAppend(&text, "  thread:");
      for (const Call& call : calls) {
        absl::StrAppend(&text, " ", kNames[static_cast<size_t>(call.kind)], " ", call.a, ",", call.b, ";");
      }
      absl::StrAppend(&text, "\n");
    }
    return text;
  }

  int carriers;
  uint64_t seed;
  // 0 to 3: so many values; 4: unbounded; 5: conflated.
  std::array<int, kChannels> kinds;
  std::vector<std::vector<Call>> threads;
};

// A channel, and what is known of it. Values are numbered over all; a number says who has sent it.
class Tracked {
 public:
  static constexpr int kUnboundedKind = 4;
  static constexpr int kConflatedKind = 5;
  static constexpr int kPerThread = 1000;

  explicit Tracked(int kind)
      : kind_(kind),
        channel_(kind < kUnboundedKind ? Channel<Counted>(kind)
                                       : Channel<Counted>(kind == kUnboundedKind ? kUnbounded : kConflated)) {}

  Channel<Counted>& channel() { return channel_; }
  bool closed() const { return closed_; }
  void Close() {
    WEFT_CHECK(channel_.Close() == !closed_);
    closed_ = true;
  }

  void NoteSent(int value) { fate_[value] |= kSent; }
  // To `receiver`, in its order.
  void NoteReceived(int receiver, int value) {
    WEFT_CHECK((fate_[value] & kReceived) == 0) << value << " was received twice";
    fate_[value] |= kReceived;
    int& last = last_[{receiver, value / kPerThread}];
    WEFT_CHECK(value > last) << value << " was received after " << last;
    last = value;
  }
  // A receiver has found it closed.
  void CheckDrained() {
    WEFT_CHECK(closed_) << "a receiver has found an open channel closed";
    WEFT_CHECK(channel_.size() == 0) << channel_.size() << " values are left";
  }
  void CheckSize() {
    const size_t limit = kind_ == kConflatedKind ? 1 : static_cast<size_t>(kind_);
    WEFT_CHECK(kind_ == kUnboundedKind || channel_.size() <= limit) << channel_.size();
    WEFT_CHECK(channel_.IsClosed() == closed_);
  }
  // Nobody uses it any more.
  void CheckAllArrived() {
    CheckSize();
    const size_t kept = channel_.size();
    size_t received = 0;
    while (std::optional<Counted> value = channel_.TryReceive()) {
      NoteReceived(kThreads, value->value());
      ++received;
    }
    WEFT_CHECK(received == kept) << received << " of " << kept;
    for (const auto& [value, fate] : fate_) {
      WEFT_CHECK((fate & kSent) != 0) << value << " was received, but not sent";
      WEFT_CHECK((fate & kReceived) != 0 || kind_ == kConflatedKind) << value << " was sent, but not received";
    }
  }

  // ---- The model, for one thread.
  bool HasRoom() const {
    if (closed_ || kind_ == 0) return false;
    return kind_ >= kUnboundedKind || model_.size() < static_cast<size_t>(kind_);
  }
  bool HasValue() const { return !model_.empty(); }
  void ModelSend(int value) {
    if (kind_ == kConflatedKind) model_.clear();
    model_.push_back(value);
  }
  void ModelReceive(int value) {
    WEFT_CHECK(!model_.empty() && model_.front() == value) << value << " is not the first";
    model_.pop_front();
  }
  void CheckModel() { WEFT_CHECK(channel_.size() == model_.size()) << channel_.size() << ", not " << model_.size(); }

 private:
  enum Fate : uint8_t { kSent = 1, kReceived = 2 };

  const int kind_;
  Channel<Counted> channel_;
  bool closed_ = false;
  std::map<int, uint8_t> fate_;
  std::map<std::pair<int, int>, int> last_;  // by receiver and sender
  std::deque<int> model_;
};

class ChannelRun {
 public:
  explicit ChannelRun(const ChannelProgram& program)
      : program_(program),
        channels_{Tracked(program.kinds[0]), Tracked(program.kinds[1]), Tracked(program.kinds[2])},
        alone_(program.threads.size() == 1) {}

  Task<void> Main() {
    {
      AwaitAll scope;
      for (int thread = 0; thread < static_cast<int>(program_.threads.size()); ++thread) {
        scope.Fork([this, thread] { return RunThread(thread); });
      }
      (co_await scope.Join()).IgnoreFailures();
    }
    for (Tracked& each : channels_) each.CheckAllArrived();
  }

 private:
  Task<void> RunThread(int thread) {
    static_cast<void>(co_await WithStopEvent(stop_[thread], MakeCalls(thread)));
  }
  Task<void> MakeCalls(int thread) {
    for (const Call& call : program_.threads[static_cast<size_t>(thread)]) {
      co_await Make(thread, call);
      for (Tracked& each : channels_) {
        each.CheckSize();
        if (alone_) each.CheckModel();
      }
    }
  }

  // A value on its way to a channel, or to one of two. Whatever becomes of the call, what was moved from was sent.
  struct Sending {
    Sending(ChannelRun& of, int thread, Tracked& first, Tracked& second)
        : number(of.NextNumber(thread)), to(first), or_to(second), closed(first.closed()), or_closed(second.closed()) {}
    Sending(ChannelRun& of, int thread, Tracked& only) : Sending(of, thread, only, only) {}
    Sending(const Sending&) = delete;
    Sending& operator=(const Sending&) = delete;
    ~Sending() {
      Note(value, to, closed);
      Note(or_value, or_to, or_closed);
      WEFT_CHECK(!Moved(value) || !Moved(or_value)) << number << " was sent twice";
    }
    static bool Moved(const Counted& value) { return value.value() == Counted::kMovedFrom; }
    void Note(const Counted& sent, Tracked& channel, bool was_closed) const {
      WEFT_CHECK(Moved(sent) || sent.value() == number) << number << " has become " << sent.value();
      if (!Moved(sent)) return;
      WEFT_CHECK(!was_closed) << number << " was sent to a closed channel";
      channel.NoteSent(number);
    }

    const int number;
    Tracked& to;
    Tracked& or_to;
    const bool closed;
    const bool or_closed;
    Counted value = Counted(number);
    Counted or_value = Counted(number);
  };

  int NextNumber(int thread) { return thread * Tracked::kPerThread + ++numbers_[thread]; }

  void Received(int thread, Tracked& from, const std::optional<Counted>& value) {
    if (!value.has_value()) return from.CheckDrained();
    from.NoteReceived(thread, value->value());
    if (alone_) from.ModelReceive(value->value());
  }
  // `sent`: what the call has said.
  void Sent(Sending& sending, Tracked& to, bool sent) {
    WEFT_CHECK(sent == Sending::Moved(sending.value)) << sending.number << (sent ? " was not sent" : " was sent");
    if (sent && alone_) to.ModelSend(sending.number);
  }

  Task<void> Make(int thread, Call call) {
    Tracked& a = channels_[call.a];
    Tracked& b = channels_[call.b];
    switch (call.kind) {
      case Call::Kind::kSend: {
        Sending sending(*this, thread, a);
        const bool ready = a.closed() || a.HasRoom();
        const std::optional<bool> sent = co_await MoveOnAfter(kPatience, a.channel().Send(std::move(sending.value)));
        Sent(sending, a, sent.value_or(false));
        WEFT_CHECK(sent != false || a.closed()) << "an open channel took no value";
        WEFT_CHECK(!alone_ || sent.has_value() == ready);
        break;
      }
      case Call::Kind::kReceive: {
        const bool ready = a.closed() || a.HasValue();
        const auto got = co_await MoveOnAfter(kPatience, a.channel().Receive());
        WEFT_CHECK(!alone_ || got.has_value() == ready);
        if (got.has_value()) Received(thread, a, *got);
        break;
      }
      case Call::Kind::kTrySend: {
        Sending sending(*this, thread, a);
        const bool room = a.HasRoom();
        const bool sent = a.channel().TrySend(std::move(sending.value));
        Sent(sending, a, sent);
        WEFT_CHECK(!alone_ || sent == room);
        break;
      }
      case Call::Kind::kTryReceive: {
        const bool has = a.HasValue();
        const std::optional<Counted> got = a.channel().TryReceive();
        WEFT_CHECK(!alone_ || got.has_value() == has);
        if (got.has_value()) Received(thread, a, got);
        break;
      }
      case Call::Kind::kReceiveMany: {
        // Outlives the wait: what was received when the wait was cancelled is in it.
        struct Batch {
          ~Batch() {
            for (const Counted& each : values) run.Received(thread, from, each);
          }
          ChannelRun& run;
          const int thread;
          Tracked& from;
          std::vector<Counted> values = {};
        } batch{*this, thread, a};
        const size_t max = static_cast<size_t>(1 + call.b);
        const auto count = co_await MoveOnAfter(kPatience, a.channel().ReceiveMany(batch.values, max));
        WEFT_CHECK(count.value_or(0) == batch.values.size() && batch.values.size() <= max) << batch.values.size();
        if (count == size_t{0}) a.CheckDrained();
        break;
      }
      case Call::Kind::kSelectReceives: {
        auto got = co_await Select(a.channel().Receive(), b.channel().Receive(), Sleep(kPatience));
        if (got.index() == 0) Received(thread, a, std::get<0>(got));
        if (got.index() == 1) Received(thread, b, std::get<1>(got));
        break;
      }
      case Call::Kind::kSelectSends: {
        Sending sending(*this, thread, a, b);
        auto got = co_await Select(a.channel().Send(std::move(sending.value)),
                                   b.channel().Send(std::move(sending.or_value)), Sleep(kPatience));
        const bool first = got.index() == 0 && std::get<0>(got);
        const bool second = got.index() == 1 && std::get<1>(got);
        WEFT_CHECK(first == Sending::Moved(sending.value) && second == Sending::Moved(sending.or_value));
        if ((first || second) && alone_) (first ? a : b).ModelSend(sending.number);
        WEFT_CHECK(first || second || got.index() == 2 || (got.index() == 0 ? a : b).closed());
        break;
      }
      case Call::Kind::kSelectBoth: {
        Sending sending(*this, thread, b);
        auto got = co_await Select(a.channel().Receive(), b.channel().Send(std::move(sending.value)), event_.Wait(),
                                   Sleep(kPatience));
        if (got.index() == 0) Received(thread, a, std::get<0>(got));
        Sent(sending, b, got.index() == 1 && std::get<1>(got));
        WEFT_CHECK(got.index() != 2 || event_.IsSet()) << "the event is not set";
        break;
      }
      case Call::Kind::kClose:
        a.Close();
        break;
      case Call::Kind::kYield:
        co_await Yield();
        break;
      case Call::Kind::kSleep:
        co_await Sleep(absl::Milliseconds(1 + call.a));
        break;
      case Call::Kind::kStop:
        stop_[call.b].Set();
        break;
      case Call::Kind::kSet:
        event_.Set();
        break;
    }
  }

  const ChannelProgram& program_;
  std::array<Tracked, kChannels> channels_;
  const bool alone_;
  Event event_;
  Event stop_[kThreads];
  int numbers_[kThreads] = {};
};

void RunAndCheck(const ChannelProgram& program) {
  const Census before = Census::Take();
  {
    Simulation simulation({.carriers = program.carriers, .seed = program.seed, .max_turns = 1'000'000});
    ChannelRun run(program);
    simulation.Run(run.Main());
  }
  WEFT_CHECK(Census::Take() == before) << "left behind: before " << before << "; after " << Census::Take();
  WEFT_CHECK(Counted::alive.load() == 0) << Counted::alive.load() << " values are left";
  WEFT_CHECK(Counted::bad.load() == 0) << "a value was destroyed twice";
}

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const weft::testing::ChannelProgram program{weft::testing::FuzzInput({reinterpret_cast<const char*>(data), size})};
  weft::testing::PrintFuzzed([&program] { return program.ToString(); });
  weft::testing::RunAndCheck(program);
  return 0;
}
