// Channels, and selects over them. Goal: a value is received once, or is in the channel, or is where it was; one case
// of a select happens; nobody waits for what is there; whoever is closed, cancelled or an OS thread. Method: threads
// that send, receive, select, close and cancel, one call each, on the code as it is shipped. Values are Cells: a move
// that is not ordered is a violation.
#include "lib/channel/channel_state.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <utility>

#include "lib/channel/select_wait.h"
#include "lib/testing/model/checker.h"
#include "lib/thread/thread_state.h"
#include "tests/model/component.h"
#include "tests/model/parking_thread.h"

namespace weft::internal {
namespace {

using model::Cell;
using model::Require;

constexpr int kChannels = 2;
constexpr int kMoved = 0;

// What is sent: a number from 1. Each place for a value is one too, for ever. So a step that comes too early, at a
// place or at a value, is one at the same cell, and a violation.
struct Value {
  explicit Value(int of) : number(of) {}
  Cell<int> number;
};

// The memory of a block of places. They lie at its end.
void* AllocatePlaces(size_t bytes, size_t) noexcept {
  const size_t block = 2 * sizeof(void*);
  char* const memory = static_cast<char*>(std::malloc(bytes));
  for (size_t end = bytes; end >= block + sizeof(Value); end -= sizeof(Value)) {
    ::new (memory + end - sizeof(Value)) Value(kMoved);
  }
  return memory;
}

constexpr ElementType kValues = {
    .size = sizeof(Value),
    .alignment = alignof(Value),
    .move =
        [](void* to, void* from) noexcept {
          auto& source = static_cast<Value*>(from)->number;
          static_cast<Value*>(to)->number.Set(source.Get());
          source.Set(kMoved);
        },
    .destroy = nullptr,
    .allocate = &AllocatePlaces,
    .free = [](void* memory, size_t, size_t) noexcept { std::free(memory); },
};

class Waiter;

class ModelChannel : public ChannelState<Waiter> {
 public:
  using ChannelState::ChannelState;

  // As the destructor does. Whoever takes a lock afterwards touches what is gone.
  void Destroy() {
    AwaitWithdrawals();
    {
      const RingLocks locks(ring());
      Require(!SomebodyWaits(), "nobody waits in a channel that is destroyed");
    }
    model::Retire(WordOf(ring().tail_lock()));
    if (ring().limit() > 0) model::Retire(WordOf(ring().head_lock()));
    destroyed_ = true;
  }
  bool destroyed() const { return destroyed_; }

 private:
  static const Atomic<uint32_t>& WordOf(const Lock& lock) { return reinterpret_cast<const Atomic<uint32_t>&>(lock); }

  bool destroyed_ = false;  // at the end
};
using Channels = std::array<ModelChannel*, kChannels>;

enum class Call {
  kWait,    // for one of the cases
  kWaitAlready,  // the same for the first case, from before the others begin
  kWaitLast,     // for the first case, and destroys its channel then
  kCloseLast,    // closes the channel of the first case, and destroys it
  kTry,     // the first case, without waiting
  kOs,      // the first case, by an OS thread
  kClose,   // the channel of the first case
  kCancel,  // the first thread
};
struct Case {
  int channel;
  bool sends;
};
struct Act {
  Call call;
  int count = 0;
  Case cases[2] = {};
};

class ModelSelect : public SelectWait<Waiter> {
 public:
  using SelectWait<Waiter>::Begin;
};

// A thread that waits once.
class Waiter : public model::ParkingThread<Waiter> {
 public:
  void Set(const Channels& channels, const Act& act, int number) {
    act_ = act;
    number_ = number;
    for (int i = 0; i < act_.count; ++i) {
      parties_[i].emplace(channels[act_.cases[i].channel], act_.cases[i].sends);
      values_[i].emplace(parties_[i]->sends ? number : kMoved);
      parties_[i]->value = &*values_[i];
      records_[i].part = {&*parties_[i], &SelectInChannel<Waiter>::kWait};
    }
  }

  // Before the others begin.
  void Begin() {
    seen_ = state().Observe();
    waiting_on = &*parties_[0];
    Require(!parties_[0]->channel->TryOrAdd(*parties_[0], *this), "the first who comes waits");
  }
  void RunOn() {
    if (!ParkIsLast(seen_)) GoOn();
  }
  void Run() {
    const ThreadState::Snapshot seen = state().Observe();
    if (seen.requested()) return End(-1);
    if (act_.count > 1) {
      select_.Begin(records_.data(), act_.count, *this);
      waiting_on = static_cast<SelectWait<Waiter>*>(&select_);
      if (select_.LookOrAdd(*this)) return End(select_.chosen());
    } else {
      waiting_on = &*parties_[0];
      if (parties_[0]->channel->TryOrAdd(*parties_[0], *this)) return End(0);
    }
    if (!ParkIsLast(seen)) GoOn();
  }
  void Try() {
    parties_[0]->channel->Try(*parties_[0]);
    ended_ = true;
    Note(0);
  }
  void RunOnOsThread() {
    OsThreadNode<Waiter> self(*parties_[0]);
    if (!parties_[0]->channel->TryOrAdd(*parties_[0], self)) self.Await();
    model::Retire(self.woken);
    ended_ = true;
    Note(0);
  }

  // ---- At the end.
  bool ended() const { return ended_; }
  bool WaitsTo(Case of) const {
    for (int i = 0; !ended_ && i < act_.count; ++i) {
      if (act_.cases[i].channel == of.channel && act_.cases[i].sends == of.sends) return true;
    }
    return false;
  }
  int sent() const { return sent_; }
  int received() const { return received_; }
  // Of those that have not ended.
  void LeaveQueues() {
    if (ended_) return;
    if (act_.count > 1) return select_.TakeBack(records_.data(), act_.count);
    Require(ChannelState<Waiter>::Withdraw(*this), "who waits can be withdrawn");
  }

 private:
  friend ParkingThread;

  bool Withdraw() {
    return act_.count > 1 ? SelectWait<Waiter>::Withdraw(*this) : ChannelState<Waiter>::Withdraw(*this);
  }
  void GoOn() {
    if (unwind) return End(-1);
    End(act_.count > 1 ? select_.chosen() : 0);
  }
  // `happened`: the case, or -1.
  void End(int happened) {
    if (act_.count > 1) select_.TakeBack(records_.data(), act_.count);
    Require(!linked(), "a thread that goes on is in no queue");
    ended_ = true;
    Note(happened);
    state().End();
    if (act_.call == Call::kWaitLast) static_cast<ModelChannel*>(parties_[0]->channel)->Destroy();
  }
  void Note(int happened) {
    for (int i = 0; i < act_.count; ++i) {
      const bool done = parties_[i]->outcome == ChannelOutcome::kDone;
      Require(i == happened || parties_[i]->outcome == ChannelOutcome::kPending, "one case happens");
      Require(i != happened || act_.call == Call::kTry || parties_[i]->outcome != ChannelOutcome::kPending,
              "what has happened has an outcome");
      if (parties_[i]->sends) {
        Require(values_[i]->number.Get() == (done ? kMoved : number_), "what is not sent is where it was");
        if (done) sent_ = number_;
      } else if (done) {
        received_ = values_[i]->number.Get();
        Require(received_ != kMoved, "a value arrives");
      }
    }
  }

  Act act_ = {};
  int number_ = 0;
  ThreadState::Snapshot seen_;
  bool ended_ = false;
  int sent_ = 0;
  int received_ = 0;
  // ---- The awaiting frame.
  std::array<std::optional<ChannelParty<Waiter>>, 2> parties_;
  std::array<std::optional<Value>, 2> values_;  // what is sent, or where it arrives
  std::array<SelectRecord<Waiter>, 2> records_ = {};
  ModelSelect select_;
};

void Wake(Waiter& waiter) { waiter.Wake(); }
uint32_t ChooseCase(Waiter&, uint32_t) { return 0; }

constexpr Act Send(int channel) { return {Call::kWait, 1, {{channel, true}}}; }
constexpr Act Receive(int channel) { return {Call::kWait, 1, {{channel, false}}}; }
constexpr Act Select(Case a, Case b) { return {Call::kWait, 2, {a, b}}; }
constexpr Act TrySend(int channel) { return {Call::kTry, 1, {{channel, true}}}; }
constexpr Act TryReceive(int channel) { return {Call::kTry, 1, {{channel, false}}}; }
constexpr Act OsSend(int channel) { return {Call::kOs, 1, {{channel, true}}}; }
constexpr Act OsReceive(int channel) { return {Call::kOs, 1, {{channel, false}}}; }
constexpr Act SendAlready(int channel) { return {Call::kWaitAlready, 1, {{channel, true}}}; }
constexpr Act ReceiveAlready(int channel) { return {Call::kWaitAlready, 1, {{channel, false}}}; }
constexpr Act SendLast(int channel) { return {Call::kWaitLast, 1, {{channel, true}}}; }
constexpr Act ReceiveLast(int channel) { return {Call::kWaitLast, 1, {{channel, false}}}; }
constexpr Act CloseLast(int channel) { return {Call::kCloseLast, 1, {{channel, true}}}; }
constexpr Act Close(int channel) { return {Call::kClose, 1, {{channel, true}}}; }
constexpr Act kCancelFirst = {Call::kCancel};

template <int64_t kCapacity, Act... kActs>
class Meeting {
 public:
  static constexpr int kThreads = sizeof...(kActs);

  Meeting() {
    first_.emplace(kValues, kCapacity, /*conflated=*/false);
    if (kUsesSecond) second_.emplace(kValues, kCapacity, /*conflated=*/false);
    for (int i = 0; i < kThreads; ++i) {
      if (!Waits(i)) continue;
      waiters_[i].emplace().Set(channels(), kAll[i], i + 1);
      if (kAll[i].call == Call::kWaitAlready) waiters_[i]->Begin();
    }
  }

  void Thread(int index) {
    switch (kAll[index].call) {
      case Call::kWait:
      case Call::kWaitLast:
        return waiters_[index]->Run();
      case Call::kWaitAlready:
        return waiters_[index]->RunOn();
      case Call::kTry:
        return waiters_[index]->Try();
      case Call::kOs:
        return waiters_[index]->RunOnOsThread();
      case Call::kClose:
        closed_[kAll[index].cases[0].channel] = true;
        static_cast<void>(channels()[kAll[index].cases[0].channel]->Close([] {}));
        return;
      case Call::kCloseLast:
        static_cast<void>(channels()[kAll[index].cases[0].channel]->Close([] {}));
        return channels()[kAll[index].cases[0].channel]->Destroy();
      case Call::kCancel:
        return waiters_[0]->Cancel();
    }
  }

  void Finish() {
    std::array<int, kThreads + 1> times = {};
    for (int i = 0; i < kThreads; ++i) {
      if (!Waits(i)) continue;
      Require(waiters_[i]->ended() || !waiters_[i]->requested(), "no request stays behind with the thread parked");
      ++times[waiters_[i]->sent()];
      --times[waiters_[i]->received()];
    }
    NobodyWaitsForWhatIsThere();
    for (int i = 0; i < kThreads; ++i) {
      if (Waits(i)) waiters_[i]->LeaveQueues();
    }
    Value place(kMoved);
    ChannelParty<Waiter> party = {nullptr, /*sends=*/false, &place};
    for (ModelChannel* channel : channels()) {
      if (channel == nullptr || channel->destroyed()) continue;
      for (;;) {
        party.channel = channel;
        party.outcome = ChannelOutcome::kPending;
        channel->Try(party);
        if (party.outcome != ChannelOutcome::kDone) break;
        --times[place.number.Get()];
      }
    }
    for (int number = 1; number <= kThreads; ++number) {
      Require(times[number] == 0, "what was sent was received once, or is in the channel");
    }
  }

 private:
  static constexpr std::array<Act, sizeof...(kActs)> kAll = {kActs...};
  static bool Waits(int i) {
    return kAll[i].call != Call::kClose && kAll[i].call != Call::kCloseLast && kAll[i].call != Call::kCancel;
  }

  void NobodyWaitsForWhatIsThere() {
    for (int channel = 0; channel < (kUsesSecond ? 2 : 1); ++channel) {
      int senders = 0, receivers = 0;
      bool both = false;
      for (int i = 0; i < kThreads; ++i) {
        if (!Waits(i)) continue;
        const bool sends = waiters_[i]->WaitsTo({channel, true});
        const bool receives = waiters_[i]->WaitsTo({channel, false});
        senders += sends;
        receivers += receives;
        both = both || (sends && receives);
      }
      if (channels()[channel]->destroyed()) {
        Require(senders + receivers == 0, "nobody waits in a channel that is destroyed");
        continue;
      }
      const int64_t size = channels()[channel]->size();
      Require(!closed_[channel] || senders + receivers == 0, "nobody waits in a closed channel");
      Require(receivers == 0 || size == 0, "nobody waits for a value that is there");
      Require(senders == 0 || size == kCapacity, "nobody waits for a place that is there");
      Require(senders == 0 || receivers == 0 || (both && senders + receivers == 2), "those who wait have not missed");
    }
  }

  // Those that are used, since an execution has so many atomics at most.
  static constexpr bool kUsesSecond = [] {
    for (const Act& act : kAll) {
      for (int i = 0; i < act.count; ++i) {
        if (act.cases[i].channel == 1) return true;
      }
    }
    return false;
  }();
  Channels channels() { return {&*first_, kUsesSecond ? &*second_ : nullptr}; }

  std::optional<ModelChannel> first_, second_;
  std::array<bool, kChannels> closed_ = {};  // at the end
  std::array<std::optional<Waiter>, kThreads> waiters_;
};

constexpr Case kSend0 = {0, true}, kReceive0 = {0, false}, kSend1 = {1, true}, kReceive1 = {1, false};

const model::Component& ChannelComponent() {
  using model::Of;
  static const model::Component component = {
      "channel",
      {Of<Meeting<0, Send(0), Receive(0)>>("a rendezvous", {.preemptions = model::kUnbounded}),
       Of<Meeting<0, Send(0), Receive(0), kCancelFirst>>("a rendezvous, the sender is cancelled", {.preemptions = 4}),
       Of<Meeting<0, Receive(0), Send(0), kCancelFirst>>("a rendezvous, the receiver is cancelled", {.preemptions = 4}),
       Of<Meeting<1, Send(0), Send(0), Receive(0)>>("two senders, one place", {}),
       Of<Meeting<1, Send(0), TrySend(0), TryReceive(0)>>("one place, and calls that do not wait", {}),
       Of<Meeting<1, Receive(0), Send(0), kCancelFirst>>("one place, the receiver is cancelled", {}),
       Of<Meeting<0, Send(0), Receive(0), Close(0)>>("a rendezvous in a channel that is closed", {}),
       Of<Meeting<1, Send(0), Receive(0), Close(0)>>("one place in a channel that is closed", {}),
       Of<Meeting<1, Receive(0), OsSend(0)>>("an OS thread sends", {.preemptions = model::kUnbounded}),
       Of<Meeting<0, OsReceive(0), Send(0)>>("an OS thread receives", {.preemptions = model::kUnbounded}),
       Of<Meeting<0, OsReceive(0), OsSend(0)>>("two OS threads", {.preemptions = 4}),
       Of<Meeting<0, OsReceive(0), Close(0)>>("an OS thread in a channel that is closed", {.preemptions = 4}),
       Of<Meeting<0, SendAlready(0), ReceiveLast(0), kCancelFirst>>("a receiver destroys, the sender is cancelled",
                                                                    {.preemptions = 4}),
       Of<Meeting<0, ReceiveAlready(0), SendLast(0), kCancelFirst>>("a sender destroys, the receiver is cancelled",
                                                                    {.preemptions = 4}),
       Of<Meeting<0, ReceiveAlready(0), CloseLast(0), kCancelFirst>>("a channel goes while a receiver is cancelled",
                                                                     {.preemptions = 4}),
       Of<Meeting<0, SendAlready(0), CloseLast(0), kCancelFirst>>("a channel goes while a sender is cancelled", {})}};
  return component;
}

// What two sides do at once, each under its own lock.
const model::Component& ElementRingComponent() {
  using model::Of;
  static const model::Component component = {
      "element_ring",
      {Of<Meeting<1, TrySend(0), TryReceive(0), TrySend(0)>>("one place, used twice", {.preemptions = 4}),
       Of<Meeting<1, TrySend(0), TryReceive(0), TryReceive(0)>>("one value, two who want it", {.preemptions = 4}),
       Of<Meeting<2, TrySend(0), TrySend(0), TryReceive(0)>>("two places", {})}};
  return component;
}

const model::Component& SelectComponent() {
  using model::Of;
  static const model::Component component = {
      "select",
      {Of<Meeting<0, Select(kReceive0, kReceive1), Send(0), Send(1)>>("two cases, both are given", {}),
       Of<Meeting<0, Select(kReceive0, kReceive1), Send(0), kCancelFirst>>("two cases, given or cancelled", {}),
       Of<Meeting<0, Select(kReceive0, kSend1), Select(kSend0, kReceive1)>>("two selects that meet twice",
                                                                            {.preemptions = 4}),
       Of<Meeting<0, Select(kSend0, kReceive0), Select(kSend0, kReceive0)>>("two that send and receive in one channel",
                                                                            {.preemptions = 4}),
       Of<Meeting<1, Select(kReceive0, kSend1), Send(0), Receive(1)>>("one that sends and receives, with places", {}),
       Of<Meeting<0, Select(kReceive0, kReceive1), Select(kSend1, kSend0), kCancelFirst>>(
           "two selects, one is cancelled", {}),
       Of<Meeting<0, Select(kReceive0, kReceive1), Close(0), Send(1)>>("two cases, one channel is closed", {})}};
  return component;
}

TEST(ChannelModelTest, EachValueIsAtOnePlaceAndNobodyWaitsForWhatIsThere) { model::Prove(ChannelComponent()); }
TEST(ElementRingModelTest, TwoSidesMoveValuesAtOnce) { model::Prove(ElementRingComponent()); }
TEST(ElementRingModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(ElementRingComponent()); }
TEST(ChannelModelTest, NoOrderCouldBeWeaker) { model::RefuteWeakerOrders(ChannelComponent()); }
// Its own steps are ordered by the locks and by the state word, whose orders are proved with those.
TEST(SelectModelTest, OneCaseHappensAndNothingIsLost) { model::Prove(SelectComponent()); }

}  // namespace
}  // namespace weft::internal
