// Row L1 for selects over each pair of the waits that Select() takes. (harness.h) channel_test.cc has those of which
// both sides are channels of one kind.
//
// A scenario has two things, each of some kind (kKinds): the seed draws the pair, and every pair is drawn often. A
// thread waits for one of them, or selects from both; tries to get one; or makes one be there for others. Which pair it
// is, is a number: the waits of all kinds are one type here, AnyWait. So the code of a Select() is compiled once, and
// the table is a table.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/channel/broadcast.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/executor/future.h"
#include "weft/executor/promise.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait_node.h"
#include "weft/sync/event.h"
#include "weft/sync/latch.h"
#include "weft/sync/mutex.h"
#include "weft/sync/recursive_mutex.h"
#include "weft/sync/semaphore.h"
#include "weft/sync/shared_mutex.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

constexpr Answer kNothingToDo = -100;  // the call makes no sense now
constexpr Answer kNo = 0, kYes = 1, kNothing = 0;

using Value = std::unique_ptr<int64_t>;
using Guard = std::variant<MutexGuard, RecursiveMutexGuard, WriterGuard, ReaderGuard, Permit>;
using Numbers = Broadcast<int64_t>;

// What a thread has got of a thing.
using Held = std::vector<Guard>;

// ---- A wait of any kind.

// What it yields, as a number. Guards are kept.
template <class Result>
Answer Keep(Result result, Held& held) {
  if constexpr (std::is_same_v<Result, bool>) {
    return result ? kYes : kNo;
  } else if constexpr (std::is_same_v<Result, absl::Status>) {
    return result.ok() ? kYes : kNo;
  } else if constexpr (std::is_same_v<Result, absl::StatusOr<Answer>>) {
    return result.ok() ? *result : kNo;
  } else if constexpr (std::is_same_v<Result, std::optional<Value>>) {
    return result.has_value() ? **result : kNothing;
  } else if constexpr (requires { *result->value; }) {
    return result.has_value() ? *result->value : kNothing;
  } else {
    held.push_back(std::move(result));
    return kYes;
  }
}
// The same of a try.
template <class G>
Answer KeepIfGot(std::optional<G> got, Held& held) {
  return got.has_value() ? Keep(*std::move(got), held) : kNo;
}

class [[nodiscard("co_await the wait")]] AnyWait : public internal::GivesWhenAwaited<Answer> {
 public:
  using WeftAwaitable = void;

  template <class Wait>
  AnyWait(Wait wait, Held& held) : wait_(std::move(wait)), held_(&held) {}

  bool await_ready() {
    return std::visit([](auto& wait) { return wait.await_ready(); }, wait_);
  }
  template <internal::WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return std::visit(
        [&](auto& wait) {
          if constexpr (std::is_void_v<decltype(wait.await_suspend(frame, where))>) {
            wait.await_suspend(frame, where);
            return true;
          } else {
            return wait.await_suspend(frame, where);
          }
        },
        wait_);
  }
  Answer await_resume() {
    return std::visit(
        [this](auto& wait) {
          if constexpr (std::is_void_v<decltype(wait.await_resume())>) {
            wait.await_resume();
            return kYes;
          } else {
            return Keep(wait.await_resume(), *held_);
          }
        },
        wait_);
  }
  internal::SelectPart ForSelect() {
    return std::visit([](auto& wait) { return wait.ForSelect(); }, wait_);
  }
  void NotSelected() {
    std::visit(
        [](auto& wait) {
          if constexpr (requires { wait.NotSelected(); }) wait.NotSelected();
        },
        wait_);
  }

 private:
  std::variant<decltype(std::declval<Channel<Value>&>().Receive()),
               decltype(std::declval<Channel<Value>&>().Send(Value())), decltype(std::declval<Mutex&>().Lock()),
               decltype(std::declval<RecursiveMutex&>().Lock()), decltype(std::declval<SharedMutex&>().Lock()),
               decltype(std::declval<SharedMutex&>().LockShared()), decltype(std::declval<Semaphore&>().Acquire()),
               decltype(std::declval<Event&>().Wait()), decltype(std::declval<Latch&>().Wait()),
               decltype(std::declval<const Future<Answer>&>().TryGet()),
               decltype(std::declval<VirtualThread&>().Join()),
               decltype(std::declval<Numbers::Subscriber&>().Receive()), decltype(Sleep(absl::ZeroDuration()))>
      wait_;
  Held* held_;
};

// ---- Things that threads wait for.

class Thing {
 public:
  Thing() = default;
  Thing(const Thing&) = delete;
  Thing& operator=(const Thing&) = delete;
  virtual ~Thing() = default;

  // By `thread`, as a case. `value` is what is sent, and lives until the wait is over.
  virtual AnyWait Wait(int thread, Value& value) = 0;
  // Without a Select().
  virtual AnyWait WaitAlone(int thread, Value& value) { return Wait(thread, value); }
  // Does not wait.
  virtual Answer Try(int thread, Value& value) = 0;
  // Makes it be there, for those who wait.
  virtual Answer Give(int thread, Value& value) = 0;
  // What it does by itself comes to its end.
  virtual Task<void> End() { co_return; }
  bool Holds(int thread) const { return !held_[static_cast<size_t>(thread)].empty(); }
  void Leave(int thread) {
    while (Holds(thread)) Release(thread);
  }

 protected:
  Held& held(int thread) { return held_[static_cast<size_t>(thread)]; }
  Answer Release(int thread) {
    if (!Holds(thread)) return kNothingToDo;
    held(thread).pop_back();
    return kYes;
  }

 private:
  PerThread<Held> held_;
};

constexpr int64_t kNewest = -1, kAnyNumber = 1000;  // capacities

template <bool kSends, int64_t kCapacity>
class ChannelThing : public Thing {
 public:
  ~ChannelThing() override { channel_->Close(); }
  AnyWait Wait(int thread, Value& value) override {
    if constexpr (kSends) return {channel_->Send(std::move(value)), held(thread)};
    if constexpr (!kSends) return {channel_->Receive(), held(thread)};
  }
  Answer Try(int thread, Value& value) override { return kSends ? Send(value) : Receive(thread); }
  Answer Give(int thread, Value& value) override { return kSends ? Receive(thread) : Send(value); }

 private:
  Answer Send(Value& value) { return channel_->TrySend(std::move(value)) ? kYes : kNo; }
  Answer Receive(int thread) { return Keep(channel_->TryReceive(), held(thread)); }

  const std::unique_ptr<Channel<Value>> channel_ =
      kCapacity == kNewest      ? std::make_unique<Channel<Value>>(kConflated)
      : kCapacity == kAnyNumber ? std::make_unique<Channel<Value>>(kUnbounded)
                                : std::make_unique<Channel<Value>>(kCapacity);
};

template <class M>
class LockThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {mutex_.Lock(), held(thread)}; }
  Answer Try(int thread, Value&) override { return KeepIfGot(mutex_.TryLock(), held(thread)); }
  Answer Give(int thread, Value&) override { return Release(thread); }

 private:
  M mutex_;
};

// Whoever does not select takes it for the other side: so readers stand behind a writer's case, and writers behind a
// reader's.
template <bool kSelectsToWrite>
class SharedLockThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return Wait(thread, kSelectsToWrite); }
  AnyWait WaitAlone(int thread, Value&) override { return Wait(thread, !kSelectsToWrite); }
  Answer Try(int thread, Value&) override {
    if constexpr (kSelectsToWrite) return KeepIfGot(mutex_.TryLockShared(), held(thread));
    if constexpr (!kSelectsToWrite) return KeepIfGot(mutex_.TryLock(), held(thread));
  }
  Answer Give(int thread, Value&) override { return Release(thread); }

 private:
  AnyWait Wait(int thread, bool writes) {
    return writes ? AnyWait(mutex_.Lock(), held(thread)) : AnyWait(mutex_.LockShared(), held(thread));
  }

  SharedMutex mutex_;
};

class SemaphoreThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {semaphore_.Acquire(), held(thread)}; }
  Answer Try(int thread, Value&) override { return KeepIfGot(semaphore_.TryAcquire(), held(thread)); }
  Answer Give(int thread, Value&) override { return Release(thread); }

 private:
  Semaphore semaphore_{2};
};

class EventThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {event_.Wait(), held(thread)}; }
  Answer Try(int, Value&) override { return event_.IsSet() ? kYes : kNo; }
  Answer Give(int, Value&) override {
    event_.Set();
    return kYes;
  }

 private:
  Event event_;
};

class LatchThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {latch_.Wait(), held(thread)}; }
  Answer Try(int, Value&) override { return latch_.TryWait() ? kYes : kNo; }
  Answer Give(int, Value&) override {
    latch_.CountDown();
    return kYes;
  }

 private:
  Latch latch_{1};
};

class FutureThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {future_.TryGet(), held(thread)}; }
  Answer Try(int, Value&) override { return future_.IsDone() ? kYes : kNo; }
  Answer Give(int, Value& value) override { return promise_.SetValue(*value) ? kYes : kNo; }

 private:
  Promise<Answer> promise_;
  const Future<Answer> future_ = promise_.future();
};

// A thread that ends some time after it may.
class ThreadThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {thread_.Join(), held(thread)}; }
  Answer Try(int, Value&) override { return thread_.IsAlive() ? kNo : kYes; }
  Answer Give(int, Value&) override {
    may_end_.Set();
    return kYes;
  }
  Task<void> End() override {
    may_end_.Set();
    (co_await thread_.Join()).IgnoreError();
  }

 private:
  Event may_end_;
  const VirtualThread thread_ = VirtualThread::Start([this]() -> Task<void> { co_await may_end_.Wait(); });
};

class BroadcastThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {subscriber(thread).Receive(), held(thread)}; }
  Answer Try(int thread, Value&) override { return Keep(subscriber(thread).TryReceive(), held(thread)); }
  Answer Give(int, Value& value) override { return numbers_.Send(*value) ? kYes : kNo; }

 private:
  Numbers::Subscriber& subscriber(int thread) { return subscribers_[static_cast<size_t>(thread)]; }

  Numbers numbers_{kAnyNumber};
  PerThread<Numbers::Subscriber> subscribers_ = {numbers_.Subscribe(), numbers_.Subscribe(), numbers_.Subscribe(),
                                                 numbers_.Subscribe()};
};

class TimeThing : public Thing {
 public:
  AnyWait Wait(int thread, Value&) override { return {Sleep(absl::Milliseconds(1)), held(thread)}; }
  Answer Try(int, Value&) override { return kNo; }
  Answer Give(int, Value&) override { return kNo; }
};

template <class T>
std::unique_ptr<Thing> Make() {
  return std::make_unique<T>();
}

// A kind of wait, and how its thing works: the model's side of the table.
struct Kind {
  enum class Works : uint8_t {
    kReceives,
    kSends,
    kPermits,   // granted in turn, of `count`
    kSets,      // from one time on it is there for all
    kPromises,  // the same, with a value
    kEnds,      // the same, some time later
    kTells,     // each value is there for all
    kTime,
  };

  const char* name;
  std::unique_ptr<Thing> (*make)();
  Works works;
  int64_t count = 0;  // permits; places of a channel
  // Of permits.
  int64_t for_case = 1, for_others = 1;  // how many a case wants, and a call that does not select
  bool again = false;    // the holder gets it again
  bool several = false;  // one thread may wait for one while it holds another
};
using Works = Kind::Works;
constexpr Kind kKinds[] = {
    {"Receive without places", &Make<ChannelThing<false, 0>>, Works::kReceives, 0},
    {"Receive, one place", &Make<ChannelThing<false, 1>>, Works::kReceives, 1},
    {"Receive, unbounded", &Make<ChannelThing<false, kAnyNumber>>, Works::kReceives, kAnyNumber},
    {"Receive of the newest", &Make<ChannelThing<false, kNewest>>, Works::kReceives, kNewest},
    {"Send without places", &Make<ChannelThing<true, 0>>, Works::kSends, 0},
    {"Send, one place", &Make<ChannelThing<true, 1>>, Works::kSends, 1},
    {"Send, unbounded", &Make<ChannelThing<true, kAnyNumber>>, Works::kSends, kAnyNumber},
    {"Send of the newest", &Make<ChannelThing<true, kNewest>>, Works::kSends, kNewest},
    {"Mutex::Lock", &Make<LockThing<Mutex>>, Works::kPermits, 1},
    {"RecursiveMutex::Lock", &Make<LockThing<RecursiveMutex>>, Works::kPermits, 1, 1, 1, /*again=*/true},
    {"SharedMutex::Lock", &Make<SharedLockThing<true>>, Works::kPermits, kAnyNumber, kAnyNumber, 1},
    {"SharedMutex::LockShared", &Make<SharedLockThing<false>>, Works::kPermits, kAnyNumber, 1, kAnyNumber},
    {"Semaphore::Acquire", &Make<SemaphoreThing>, Works::kPermits, 2, 1, 1, /*again=*/false, /*several=*/true},
    {"Event::Wait", &Make<EventThing>, Works::kSets},
    {"Latch::Wait", &Make<LatchThing>, Works::kSets},
    {"Future::TryGet", &Make<FutureThing>, Works::kPromises},
    {"VirtualThread::Join", &Make<ThreadThing>, Works::kEnds},
    {"Broadcast::Receive", &Make<BroadcastThing>, Works::kTells},
    {"Sleep", &Make<TimeThing>, Works::kTime},
};
constexpr int64_t kKindCount = std::size(kKinds);

// The kinds of the two things of a scenario. The order of a select's cases says nothing.
constexpr int64_t kPairCount = kKindCount * (kKindCount + 1) / 2;
using Pair = std::array<int64_t, 2>;
Pair PairOf(int64_t variant) {
  int64_t first = variant % kPairCount;
  int64_t second = 0;
  while (first > second) first -= ++second;
  return {first, second};
}

// ---- The model.

// One thing.
struct KeptThing {
  // Who waits in it, first come, first served; also whoever has got the other thing, and has not come back yet to leave
  // this queue.
  struct Waiter {
    int thread;
    int64_t number;
    int64_t permits;
    bool operator==(const Waiter&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Waiter& w) {
      return H::combine(std::move(h), w.thread, w.number, w.permits);
    }
  };

  explicit KeptThing(const Kind& of) : kind(&of), available(of.works == Works::kPermits ? of.count : 0) {}

  bool full() const { return kind->count >= 0 && static_cast<int64_t>(values.size()) >= kind->count; }
  // A conflated channel keeps one.
  void Keep(int64_t value) {
    if (kind->count == kNewest) values.clear();
    values.push_back(value);
  }
  int64_t TakeFirst() {
    const int64_t first = values.front();
    values.erase(values.begin());
    return first;
  }
  void Take(int thread, int64_t permits) {
    available -= permits;
    held[static_cast<size_t>(thread)].push_back(permits);
  }
  bool Holds(int thread) const { return !held[static_cast<size_t>(thread)].empty(); }

  bool operator==(const KeptThing&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const KeptThing& k) {
    return H::combine(std::move(h), k.available, k.held, k.is_set, k.values, k.seen, k.queue);
  }

  const Kind* kind;
  int64_t available;
  PerThread<std::vector<int64_t>> held;
  bool is_set = false;
  std::vector<int64_t> values;
  PerThread<size_t> seen = {};
  std::vector<Waiter> queue;
};

template <bool kForgetsValues = false>
struct SelectPairRow {
  static constexpr std::string_view kName = "Select of each pair";
  static constexpr int kScenarios = 20 * kPairCount;

  enum Kinds { kWaitA, kWaitB, kSelect, kTryA, kTryB, kGiveA, kGiveB, kEnd, kThreadEnds, kTimeComes };
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {"a.Wait", "b.Wait", "Select(a, b)", "a.Try",        "b.Try",
                                   "a.Give", "b.Give", "(end)",        "(thread ends)", "(time comes)"};
    return absl::StrCat(kNames[static_cast<size_t>(call.kind)], " ", call.argument);
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kDrawn = {kSelect, kSelect, kSelect, kSelect, kWaitA, kWaitB,
                                   kTryA,   kTryB,   kGiveA,  kGiveA,  kGiveB, kGiveB};
    return {kDrawn[static_cast<size_t>(dice.Roll(kDrawn.size()))], number};
  }
  static std::vector<Call> Epilogue() { return {{kTryA, 98}, {kTryB, 99}, {kEnd}}; }
  // The things that a call is about.
  static std::vector<int> ThingsOf(Call call) {
    if (call.kind == kSelect) return {0, 1};
    return {call.kind == kWaitA || call.kind == kTryA || call.kind == kGiveA ? 0 : 1};
  }
  static bool Waits(Call call) { return call.kind <= kSelect; }
  static bool Gives(Call call) { return call.kind == kGiveA || call.kind == kGiveB; }

  // Of which thing, and what it yields.
  static Answer AnswerOf(int thing, Answer yields) { return (thing + 1) * 1000 + yields; }
  // What the thread, or the timer of a call, does by itself.
  static Call OwnOf(Kinds what, int64_t number, int thing) { return {what, 2 * number + thing}; }

  class Object {
   public:
    explicit Object(int64_t variant) : pair_(PairOf(variant)) {
      for (size_t i = 0; i < things_.size(); ++i) things_[i] = kKinds[pair_[i]].make();
    }
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int thread, Call call) {
      if (call.kind == kEnd) {
        for (const std::unique_ptr<Thing>& each : things_) co_await each->End();
        co_return kYes;
      }
      if (!Gives(call) && MustNot(thread, call)) co_return kNothingToDo;
      std::array<Value, 2> values = {std::make_unique<int64_t>(call.argument),
                                     std::make_unique<int64_t>(call.argument)};
      TellOwn(call);
      if (call.kind == kSelect) {
        auto got = co_await Select(things_[0]->Wait(thread, values[0]), things_[1]->Wait(thread, values[1]));
        const size_t other = got.index() == 0 ? 1 : 0;
        if (values[other] == nullptr) co_return -1;  // it has not happened
        const Answer yields = std::visit([](Answer answer) { return answer; }, got);
        co_return AnswerOf(static_cast<int>(got.index()), Seen(yields));
      }
      const int at = ThingsOf(call)[0];
      Thing& thing = *things_[static_cast<size_t>(at)];
      Value& value = values[0];
      if (Waits(call)) co_return AnswerOf(at, co_await thing.WaitAlone(thread, value));
      co_return AnswerOf(at, Gives(call) ? thing.Give(thread, value) : thing.Try(thread, value));
    }
    void Leave(int thread) {
      for (const std::unique_ptr<Thing>& each : things_) each->Leave(thread);
    }

   private:
    static Answer Seen(Answer yields) { return kForgetsValues ? kYes : yields; }
    // It would wait for itself.
    bool MustNot(int thread, Call call) const {
      for (const int each : ThingsOf(call)) {
        const Kind& kind = kKinds[pair_[static_cast<size_t>(each)]];
        if (!kind.again && !kind.several && things_[static_cast<size_t>(each)]->Holds(thread)) return true;
      }
      return false;
    }
    void TellOwn(Call call) {
      for (const int each : ThingsOf(call)) {
        const Works works = kKinds[pair_[static_cast<size_t>(each)]].works;
        if (works == Works::kTime && Waits(call)) history_->AddOwn(OwnOf(kTimeComes, call.argument, each));
        if (works == Works::kEnds && Gives(call)) history_->AddOwn(OwnOf(kThreadEnds, 0, each));
      }
    }

    const Pair pair_;
    std::array<std::unique_ptr<Thing>, 2> things_;
    History* history_ = nullptr;
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant)
        : things_{KeptThing(kKinds[PairOf(variant)[0]]), KeptThing(kKinds[PairOf(variant)[1]])} {}

    // Of two that are there either may be chosen.
    static int Choices(Call call) { return call.kind == kSelect ? 2 : 1; }
    void Prefer(int choice) { preferred_ = choice; }

    std::optional<Answer> Begin(int thread, Call call) {
      const int preferred = std::exchange(preferred_, 0);
      switch (call.kind) {
        case kLeave:
          for (int i = 0; i < 2; ++i) ReleaseAll(i, thread);
          return kNo;
        case kEnd:
          return kYes;
        case kThreadEnds:
          return ThreadEnds(static_cast<int>(call.argument % 2));
        case kTimeComes:
          return TimeComes(call.argument / 2, static_cast<int>(call.argument % 2));
        default:
          break;
      }
      if (Gives(call)) return AnswerOf(ThingsOf(call)[0], Give(ThingsOf(call)[0], thread, call.argument));
      const std::vector<int> wanted = ThingsOf(call);
      for (const int each : wanted) {
        const Kind& kind = *thing(each).kind;
        if (!kind.again && !kind.several && thing(each).Holds(thread)) return kNothingToDo;
      }
      if (!Waits(call)) return AnswerOf(wanted[0], Try(wanted[0], WaiterOf(wanted[0], thread, call)));
      for (size_t i = 0; i < wanted.size(); ++i) {
        const int each = wanted[(static_cast<size_t>(preferred) + i) % wanted.size()];
        if (const auto yields = TakeInTurn(each, WaiterOf(each, thread, call))) return AnswerOf(each, *yields);
      }
      for (const int each : wanted) thing(each).queue.push_back(WaiterOf(each, thread, call));
      return Add(thread, call);
    }
    // It comes back, and leaves the other queue. There it may have been in the way.
    std::optional<Answer> Take(int thread) {
      const std::optional<Answer> given = WaitingCalls::Take(thread);
      if (given.has_value()) LeaveQueues(thread);
      return given;
    }
    bool Withdraw(int thread) {
      if (!WaitingCalls::Withdraw(thread)) return false;
      LeaveQueues(thread);
      return true;
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.things_);
    }

   private:
    KeptThing& thing(int which) { return things_[static_cast<size_t>(which)]; }

    KeptThing::Waiter WaiterOf(int which, int thread, Call call) {
      const Kind& kind = *thing(which).kind;
      return {thread, call.argument, call.kind == kSelect ? kind.for_case : kind.for_others};
    }
    bool StillWaits(const KeptThing::Waiter& waiter) const {
      return std::any_of(all().begin(), all().end(), [&](const Waiting& each) {
        return each.thread == waiter.thread && each.call.argument == waiter.number;
      });
    }
    void LeaveQueues(int thread) {
      for (int i = 0; i < 2; ++i) {
        std::erase_if(thing(i).queue, [thread](const KeptThing::Waiter& each) { return each.thread == thread; });
      }
      for (int i = 0; i < 2; ++i) Serve(i);
    }
    // The answer goes to the one that waits there first.
    void GiveFirst(int which, Answer yields) {
      const int first = thing(which).queue.front().thread;
      thing(which).queue.erase(thing(which).queue.begin());
      WaitingCalls::Give(first, AnswerOf(which, yields));
    }
    // Those whose wait is over are not in the way of what can be given.
    bool FindFirst(int which) {
      std::vector<KeptThing::Waiter>& queue = thing(which).queue;
      while (!queue.empty() && !StillWaits(queue.front())) queue.erase(queue.begin());
      return !queue.empty();
    }

    // ---- What is there now is taken.

    std::optional<Answer> TakeInTurn(int which, const KeptThing::Waiter& by) {
      KeptThing& from = thing(which);
      if (from.kind->works != Works::kPermits) return TakeNow(which, by);
      const bool again = from.kind->again && from.Holds(by.thread);
      if (!again && (!from.queue.empty() || by.permits > from.available)) return std::nullopt;
      from.Take(by.thread, again ? 0 : by.permits);
      return kYes;
    }
    std::optional<Answer> TakeNow(int which, const KeptThing::Waiter& by) {
      KeptThing& from = thing(which);
      switch (from.kind->works) {
        case Works::kReceives:
          return from.values.empty() ? std::nullopt : std::optional<Answer>(from.TakeFirst());
        case Works::kSends:
          if (from.full()) return std::nullopt;
          from.Keep(by.number);
          return kYes;
        case Works::kPromises:
          return from.values.empty() ? std::nullopt : std::optional<Answer>(from.values[0]);
        case Works::kTells: {
          size_t& seen = from.seen[static_cast<size_t>(by.thread)];
          return seen == from.values.size() ? std::nullopt : std::optional<Answer>(from.values[seen++]);
        }
        default:
          return from.is_set ? std::optional<Answer>(kYes) : std::nullopt;
      }
    }
    Answer Try(int which, const KeptThing::Waiter& by) {
      const std::optional<Answer> taken = TakeInTurn(which, by);
      return taken.has_value() && thing(which).kind->works == Works::kPromises ? kYes : taken.value_or(kNo);
    }

    // ---- What comes to be there goes to those who wait.

    Answer Give(int which, int thread, int64_t number) {
      KeptThing& to = thing(which);
      switch (to.kind->works) {
        case Works::kPermits:
          if (!to.Holds(thread)) return kNothingToDo;
          Release(which, thread);
          return kYes;
        case Works::kReceives:
          if (!FindFirst(which)) return TrySend(to, number);
          GiveFirst(which, number);
          return kYes;
        case Works::kSends:
          return TryReceive(which);
        case Works::kPromises:
          if (!to.values.empty()) return kNo;
          [[fallthrough]];
        case Works::kTells:
          to.values.push_back(number);
          Serve(which);
          return kYes;
        case Works::kSets:
          to.is_set = true;
          Serve(which);
          return kYes;
        case Works::kEnds:
          return kYes;
        case Works::kTime:
          return kNo;
      }
      return kNo;
    }
    static Answer TrySend(KeptThing& to, int64_t number) {
      if (to.full()) return kNo;
      to.Keep(number);
      return kYes;
    }
    // The first who waits to send puts its value where one was taken.
    Answer TryReceive(int which) {
      KeptThing& from = thing(which);
      if (FindFirst(which)) {
        from.values.push_back(from.queue.front().number);
        GiveFirst(which, kYes);
      }
      return from.values.empty() ? kNothing : from.TakeFirst();
    }
    void Release(int which, int thread) {
      KeptThing& of = thing(which);
      std::vector<int64_t>& held = of.held[static_cast<size_t>(thread)];
      of.available += held.back();
      held.pop_back();
      Serve(which);
    }
    void ReleaseAll(int which, int thread) {
      while (thing(which).Holds(thread)) Release(which, thread);
    }
    // In their order, as long as there is something for them. One that waits no more is in the way of a lock's others,
    // unless it could have got it.
    void Serve(int which) {
      KeptThing& of = thing(which);
      if (of.kind->works == Works::kPermits) {
        while (!of.queue.empty() && of.queue.front().permits <= of.available) {
          const KeptThing::Waiter first = of.queue.front();
          if (StillWaits(first)) {
            of.Take(first.thread, first.permits);
            GiveFirst(which, kYes);
          } else {
            of.queue.erase(of.queue.begin());
          }
        }
        return;
      }
      const bool is_for_all = of.kind->works != Works::kReceives && of.kind->works != Works::kSends;
      while (is_for_all && FindFirst(which)) {
        const auto yields = TakeNow(which, of.queue.front());
        if (!yields.has_value()) return;
        GiveFirst(which, *yields);
      }
    }

    // ---- What happens by itself.

    std::optional<Answer> ThreadEnds(int which) {
      thing(which).is_set = true;
      Serve(which);
      return kNo;
    }
    std::optional<Answer> TimeComes(int64_t number, int which) {
      for (const KeptThing::Waiter& each : thing(which).queue) {
        if (each.number != number || !StillWaits(each)) continue;
        WaitingCalls::Give(each.thread, AnswerOf(which, kYes));
        return kNo;
      }
      return std::nullopt;
    }

    std::array<KeptThing, 2> things_;
    int preferred_ = 0;
  };
};

TEST(SelectPairLinearizabilityTest, EveryPairIsDrawn) {
  using Row = SelectPairRow<>;
  std::map<Pair, int> drawn;
  for (int i = 1; i <= Row::kScenarios; ++i) {
    const Scenario scenario = Scenario::Draw<Row>(static_cast<uint64_t>(i));
    const Pair pair = PairOf(scenario.variant);
    for (const std::vector<Scenario::Step>& steps : scenario.threads) {
      for (const Scenario::Step& step : steps) {
        drawn[pair] += step.what == Scenario::Step::What::kCall && step.call.kind == Row::kSelect;
      }
    }
  }
  EXPECT_EQ(drawn.size(), kPairCount);
  for (const auto& [pair, selects] : drawn) {
    EXPECT_GE(selects, 5) << kKinds[pair[0]].name << " and " << kKinds[pair[1]].name;
  }
}

// With a fault.
TEST(SelectPairLinearizabilityTest, TheHarnessFindsThatAValueIsLost) {
  EXPECT_NE(FindViolation<SelectPairRow<true>>(kScenarios, 1), "");
}

TEST(SelectPairLinearizabilityTest, OneOfTwoWaitsHappensWhicheverTheyAre) { ProveLinearizable<SelectPairRow<>>(); }

}  // namespace
}  // namespace weft::testing
