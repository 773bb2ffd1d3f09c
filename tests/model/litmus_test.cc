// Row M3: what the checker shows. Goal: it finds an outcome exactly if C++20 allows it. Method: litmus tests of the
// literature with known verdicts, each in both directions: where the weak outcome is allowed it has to be found, and
// where it is forbidden, all executions have to be seen without it. Then every kind of violation, on the smallest
// program that has one, beside the same program without it.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/fence.h"
#include "lib/os/futex.h"
#include "lib/testing/model/checker.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

using enum std::memory_order;
using model::Cell;
using model::Explore;
using model::Require;
using model::Result;
using Order = std::memory_order;

// ---- Litmus tests: a few atomics, what each thread does, and the outcome that is asked for.

struct Variables {
  Atomic<int> x{0};
  Atomic<int> y{0};
  Cell<int> data{0};
  int r[4] = {};
};

struct Litmus {
  std::vector<std::function<void(Variables&)>> threads;
  std::function<bool(Variables&)> outcome;
};

template <int threads>
class LitmusProgram {
 public:
  static constexpr int kThreads = threads;
  explicit LitmusProgram(const Litmus* litmus) : litmus_(*litmus) {}
  void Thread(int index) { litmus_.threads[static_cast<size_t>(index)](variables_); }
  void Finish() { Require(!litmus_.outcome(variables_), "the outcome was found"); }

 private:
  const Litmus& litmus_;
  Variables variables_;
};

class LitmusTest : public testing::Test {
 protected:
  static void TearDownTestSuite() {
    std::printf(
        "{\"row\":\"M3\",\"what\":\"litmus tests\",\"runs\":%d,\"executions\":%lld,\"violations\":%d,"
        "\"seconds\":%.3f,\"seed\":0}\n",
        verdicts, static_cast<long long>(executions), wrong, seconds);
  }

 public:
  static inline int verdicts = 0;
  static inline int wrong = 0;
  static inline int64_t executions = 0;
  static inline double seconds = 0;
};

Result Run(const Litmus& litmus) {
  const model::Options options = {.preemptions = model::kUnbounded};
  Result result;
  switch (litmus.threads.size()) {
    case 1:
      result = Explore<LitmusProgram<1>>(options, &litmus);
      break;
    case 2:
      result = Explore<LitmusProgram<2>>(options, &litmus);
      break;
    case 3:
      result = Explore<LitmusProgram<3>>(options, &litmus);
      break;
    default:
      result = Explore<LitmusProgram<4>>(options, &litmus);
      break;
  }
  ++LitmusTest::verdicts;
  LitmusTest::executions += result.executions;
  LitmusTest::seconds += result.seconds;
  return result;
}

testing::AssertionResult IsAllowed(const Litmus& litmus) {
  const Result result = Run(litmus);
  if (result.violation == "the outcome was found") return testing::AssertionSuccess();
  ++LitmusTest::wrong;
  return testing::AssertionFailure() << result.executions << " executions: " << result.Report();
}

testing::AssertionResult IsForbidden(const Litmus& litmus) {
  const Result result = Run(litmus);
  if (result.violation.empty() && result.exhausted) return testing::AssertionSuccess();
  ++LitmusTest::wrong;
  return testing::AssertionFailure() << result.executions << " executions: " << result.Report();
}

testing::AssertionResult IsARace(const Litmus& litmus) {
  const Result result = Run(litmus);
  if (result.violation.starts_with("data race")) return testing::AssertionSuccess();
  ++LitmusTest::wrong;
  return testing::AssertionFailure() << result.executions << " executions: " << result.Report();
}

using Fence = std::function<void()>;
const Fence kNoFence = [] {};
const Fence kFullFence = [] { StoreLoadFence(); };
const Fence kAcqRelFence = [] { StoreLoadFence(acq_rel); };
const Fence kReleaseFence = [] { StoreLoadFence(release); };
const Fence kAcquireFence = [] { StoreLoadFence(acquire); };
const Fence kLightFence = [] { LightFence(); };
const Fence kHeavyFence = [] { HeavyFence(); };

// ---- Store buffering (SB): each stores its own and reads the other's. Both read 0?

struct Side {
  Order store = relaxed;
  Fence fence = kNoFence;
  Order load = relaxed;
};

Litmus StoreBuffering(Side a, Side b) {
  return {{[a](Variables& v) { v.x.store(1, a.store), a.fence(), v.r[0] = v.y.load(a.load); },
           [b](Variables& v) { v.y.store(1, b.store), b.fence(), v.r[1] = v.x.load(b.load); }},
          [](Variables& v) { return v.r[0] == 0 && v.r[1] == 0; }};
}

TEST_F(LitmusTest, StoreBuffering) {
  const Side kRelaxed, kReleaseAcquire = {release, kNoFence, acquire}, kSeqCst = {seq_cst, kNoFence, seq_cst};
  EXPECT_TRUE(IsAllowed(StoreBuffering(kRelaxed, kRelaxed)));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kReleaseAcquire, kReleaseAcquire)));
  EXPECT_TRUE(IsForbidden(StoreBuffering(kSeqCst, kSeqCst)));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kSeqCst, {release, kNoFence, seq_cst})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kSeqCst, {seq_cst, kNoFence, acquire})));
}

TEST_F(LitmusTest, StoreBufferingWithFences) {
  const Side kFenced = {relaxed, kFullFence, relaxed};
  EXPECT_TRUE(IsForbidden(StoreBuffering(kFenced, kFenced)));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kFenced, {})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kFenced, {relaxed, kAcqRelFence, relaxed})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kFenced, {release, kNoFence, acquire})));
}

// The rules 4.2 and 4.3 of [atomics.order] in C++20.
TEST_F(LitmusTest, StoreBufferingOfSeqCstAccessesAgainstAFence) {
  const Side kFenced = {relaxed, kFullFence, relaxed};
  EXPECT_TRUE(IsForbidden(StoreBuffering(kFenced, {seq_cst, kNoFence, seq_cst})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kFenced, {seq_cst, kNoFence, relaxed})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kFenced, {release, kNoFence, seq_cst})));
}

// A lost wake-up of Tokio (its issue 1788) came from a seq_cst load that was meant to order a release store before it.
TEST_F(LitmusTest, StoreBufferingWithAReadModifyWriteInPlaceOfTheLoad) {
  const auto duel = [](bool rmw) {
    return Litmus{{[rmw](Variables& v) {
                     v.x.store(1, release);
                     v.r[0] = rmw ? v.y.fetch_add(0, acq_rel) : v.y.load(seq_cst);
                   },
                   [](Variables& v) { v.y.fetch_add(1, acq_rel), v.r[1] = v.x.load(acquire); }},
                  [](Variables& v) { return v.r[0] == 0 && v.r[1] == 0; }};
  };
  EXPECT_TRUE(IsAllowed(duel(false)));
  EXPECT_TRUE(IsForbidden(duel(true)));
}

TEST_F(LitmusTest, StoreBufferingWithAnAsymmetricFence) {
  const Side kLight = {relaxed, kLightFence, relaxed}, kHeavy = {relaxed, kHeavyFence, relaxed};
  EXPECT_TRUE(IsForbidden(StoreBuffering(kLight, kHeavy)));
  EXPECT_TRUE(IsForbidden(StoreBuffering(kHeavy, kHeavy)));
  EXPECT_TRUE(IsForbidden(StoreBuffering(kHeavy, {relaxed, kFullFence, relaxed})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kLight, kLight)));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kLight, {relaxed, kFullFence, relaxed})));
  EXPECT_TRUE(IsAllowed(StoreBuffering(kHeavy, {}))) << "the compiler may move what no light fence holds";
  EXPECT_TRUE(IsForbidden(StoreBuffering(kHeavy, {seq_cst, kNoFence, seq_cst})));
}

// One heavy side against two light ones; each is interrupted at a moment of its own.
TEST_F(LitmusTest, AHeavyFenceReachesEveryThread) {
  const auto duel = [](Fence light) {
    return Litmus{
        {[](Variables& v) { v.x.store(1, relaxed), HeavyFence(), v.r[0] = v.y.load(relaxed); },
         [light](Variables& v) { v.y.fetch_or(1, relaxed), light(), v.r[1] = v.x.load(relaxed); },
         [light](Variables& v) { v.y.fetch_or(2, relaxed), light(), v.r[2] = v.x.load(relaxed); }},
        [](Variables& v) { return ((v.r[0] & 1) == 0 && v.r[1] == 0) || ((v.r[0] & 2) == 0 && v.r[2] == 0); }};
  };
  EXPECT_TRUE(IsForbidden(duel(kLightFence)));
  EXPECT_TRUE(IsAllowed(duel(kNoFence)));
}

// ---- Message passing (MP): who sees the flag, does it see the data?

Litmus MessagePassing(Side writer, Side reader) {
  return {{[writer](Variables& v) { v.x.store(1, relaxed), writer.fence(), v.y.store(1, writer.store); },
           [reader](Variables& v) { v.r[0] = v.y.load(reader.load), reader.fence(), v.r[1] = v.x.load(relaxed); }},
          [](Variables& v) { return v.r[0] == 1 && v.r[1] == 0; }};
}

TEST_F(LitmusTest, MessagePassing) {
  EXPECT_TRUE(IsForbidden(MessagePassing({.store = release}, {.load = acquire})));
  EXPECT_TRUE(IsAllowed(MessagePassing({}, {.load = acquire})));
  EXPECT_TRUE(IsAllowed(MessagePassing({.store = release}, {})));
  EXPECT_TRUE(IsForbidden(MessagePassing({.store = seq_cst}, {.load = seq_cst})));
}

TEST_F(LitmusTest, MessagePassingWithFences) {
  EXPECT_TRUE(IsForbidden(MessagePassing({.fence = kReleaseFence}, {.fence = kAcquireFence})));
  EXPECT_TRUE(IsForbidden(MessagePassing({.fence = kReleaseFence}, {.load = acquire})));
  EXPECT_TRUE(IsForbidden(MessagePassing({.store = release}, {.fence = kAcquireFence})));
  EXPECT_TRUE(IsForbidden(MessagePassing({.fence = kFullFence}, {.fence = kFullFence})));
  EXPECT_TRUE(IsAllowed(MessagePassing({.fence = kAcquireFence}, {.fence = kAcquireFence})));
  EXPECT_TRUE(IsAllowed(MessagePassing({.fence = kReleaseFence}, {.fence = kReleaseFence})));
}

TEST_F(LitmusTest, MessagePassingOfPlainData) {
  const auto pass = [](Order store, Order load) {
    return Litmus{{[store](Variables& v) { v.data.Set(1), v.x.store(1, store); },
                   [load](Variables& v) { v.r[0] = v.x.load(load) == 1 ? v.data.Get() : 1; }},
                  [](Variables& v) { return v.r[0] != 1; }};
  };
  EXPECT_TRUE(IsForbidden(pass(release, acquire)));
  EXPECT_TRUE(IsARace(pass(relaxed, acquire)));
  EXPECT_TRUE(IsARace(pass(release, relaxed)));
}

// A seq_cst fence orders what atomics show, and synchronises with nothing.
TEST_F(LitmusTest, AFencePublishesNoPlainDataByItself) {
  const auto pass = [](Order load) {
    return Litmus{{[](Variables& v) { v.data.Set(1), v.x.store(1, relaxed), StoreLoadFence(), v.y.load(relaxed); },
                   [load](Variables& v) {
                     v.y.store(1, relaxed), StoreLoadFence();
                     if (v.x.load(load) == 1) v.data.Get();
                   }},
                  [](Variables&) { return false; }};
  };
  EXPECT_TRUE(IsARace(pass(relaxed)));
  EXPECT_TRUE(IsARace(pass(acquire)));
}

// ---- Others of the family.

// C++20 allows it, and hardware shows it. The checker does not: steps are taken in program order.
TEST_F(LitmusTest, LoadBufferingIsNotShown) {
  EXPECT_TRUE(IsForbidden({{[](Variables& v) { v.r[0] = v.x.load(relaxed), v.y.store(1, relaxed); },
                            [](Variables& v) { v.r[1] = v.y.load(relaxed), v.x.store(1, relaxed); }},
                           [](Variables& v) { return v.r[0] == 1 && v.r[1] == 1; }}));
}

Litmus IndependentReads(Order store, Fence fence, Order load) {
  return {{[store](Variables& v) { v.x.store(1, store); }, [store](Variables& v) { v.y.store(1, store); },
           [fence, load](Variables& v) { v.r[0] = v.x.load(load), fence(), v.r[1] = v.y.load(load); },
           [fence, load](Variables& v) { v.r[2] = v.y.load(load), fence(), v.r[3] = v.x.load(load); }},
          [](Variables& v) { return v.r[0] == 1 && v.r[1] == 0 && v.r[2] == 1 && v.r[3] == 0; }};
}

TEST_F(LitmusTest, IndependentReadsOfIndependentWrites) {
  EXPECT_TRUE(IsAllowed(IndependentReads(relaxed, kNoFence, relaxed)));
  EXPECT_TRUE(IsAllowed(IndependentReads(release, kNoFence, acquire)));
  EXPECT_TRUE(IsForbidden(IndependentReads(seq_cst, kNoFence, seq_cst)));
  EXPECT_TRUE(IsForbidden(IndependentReads(relaxed, kFullFence, relaxed)));
  EXPECT_TRUE(IsAllowed(IndependentReads(release, kAcqRelFence, acquire)));
}

TEST_F(LitmusTest, CoherenceOfReads) {
  EXPECT_TRUE(IsForbidden({{[](Variables& v) { v.x.store(1, relaxed); },
                            [](Variables& v) { v.r[0] = v.x.load(relaxed), v.r[1] = v.x.load(relaxed); }},
                           [](Variables& v) { return v.r[0] == 1 && v.r[1] == 0; }}));
  EXPECT_TRUE(IsForbidden({{[](Variables& v) { v.x.store(1, relaxed); }, [](Variables& v) { v.x.store(2, relaxed); },
                            [](Variables& v) { v.r[0] = v.x.load(relaxed), v.r[1] = v.x.load(relaxed); },
                            [](Variables& v) { v.r[2] = v.x.load(relaxed), v.r[3] = v.x.load(relaxed); }},
                           [](Variables& v) { return v.r[0] == 1 && v.r[1] == 2 && v.r[2] == 2 && v.r[3] == 1; }}));
  EXPECT_TRUE(IsAllowed({{[](Variables& v) { v.x.store(1, relaxed); },
                          [](Variables& v) { v.r[0] = v.x.load(relaxed), v.r[1] = v.x.load(relaxed); }},
                         [](Variables& v) { return v.r[0] == 0 && v.r[1] == 1; }}));
}

TEST_F(LitmusTest, CoherenceOfAWriteAndARead) {
  // Own stores: a thread does not read behind them, and what it has read comes before them.
  EXPECT_TRUE(IsForbidden({{[](Variables& v) { v.x.store(1, relaxed), v.r[0] = v.x.load(relaxed); },
                            [](Variables& v) { v.x.store(2, relaxed); }},
                           [](Variables& v) { return v.r[0] == 0; }}));
  EXPECT_TRUE(IsForbidden({{[](Variables& v) { v.r[0] = v.x.load(relaxed), v.x.store(1, relaxed); },
                            [](Variables& v) { v.x.store(2, relaxed); }},
                           [](Variables& v) { return v.r[0] == 2 && v.x.load() == 2; }}));
}

TEST_F(LitmusTest, DekkersMutualExclusion) {
  const auto enter = [](Order order) {
    return Litmus{{[order](Variables& v) {
                     v.x.store(1, order);
                     if (v.y.load(order == release ? acquire : order) == 0) v.data.Set(1);
                   },
                   [order](Variables& v) {
                     v.y.store(1, order);
                     if (v.x.load(order == release ? acquire : order) == 0) v.data.Set(2);
                   }},
                  [](Variables&) { return false; }};
  };
  EXPECT_TRUE(IsForbidden(enter(seq_cst)));
  EXPECT_TRUE(IsARace(enter(release)));
}

Litmus TwoPlusTwoWrites(Order store, Fence fence) {
  return {{[=](Variables& v) { v.x.store(1, store), fence(), v.y.store(2, store); },
           [=](Variables& v) { v.y.store(1, store), fence(), v.x.store(2, store); }},
          [](Variables& v) { return v.x.load() == 1 && v.y.load() == 1; }};
}

TEST_F(LitmusTest, TwoPlusTwoWrites) {
  EXPECT_TRUE(IsAllowed(TwoPlusTwoWrites(relaxed, kNoFence)));
  EXPECT_TRUE(IsAllowed(TwoPlusTwoWrites(release, kNoFence)));
  EXPECT_TRUE(IsForbidden(TwoPlusTwoWrites(seq_cst, kNoFence)));
  EXPECT_TRUE(IsForbidden(TwoPlusTwoWrites(relaxed, kFullFence)));
  EXPECT_TRUE(IsAllowed(TwoPlusTwoWrites(relaxed, kAcqRelFence)));
}

TEST_F(LitmusTest, TheShapesRAndS) {
  const auto r = [](Order order, Fence fence) {
    return Litmus{{[=](Variables& v) { v.x.store(1, order), fence(), v.y.store(1, order); },
                   [=](Variables& v) {
                     v.y.store(2, order), fence();
                     v.r[0] = v.x.load(order == release ? acquire : order);
                   }},
                  [](Variables& v) { return v.y.load() == 2 && v.r[0] == 0; }};
  };
  EXPECT_TRUE(IsAllowed(r(relaxed, kNoFence)));
  EXPECT_TRUE(IsAllowed(r(release, kNoFence)));
  EXPECT_TRUE(IsForbidden(r(seq_cst, kNoFence)));
  EXPECT_TRUE(IsForbidden(r(relaxed, kFullFence)));
  const auto s = [](Order store, Order load) {
    return Litmus{{[=](Variables& v) { v.x.store(2, relaxed), v.y.store(1, store); },
                   [=](Variables& v) { v.r[0] = v.y.load(load), v.x.store(1, relaxed); }},
                  [](Variables& v) { return v.r[0] == 1 && v.x.load() == 2; }};
  };
  EXPECT_TRUE(IsAllowed(s(relaxed, relaxed)));
  EXPECT_TRUE(IsAllowed(s(relaxed, acquire)));
  EXPECT_TRUE(IsAllowed(s(release, relaxed)));
  EXPECT_TRUE(IsForbidden(s(release, acquire)));
}

TEST_F(LitmusTest, CausalityIsTransitive) {
  const auto relay = [](Order store, Order load) {
    return Litmus{{[=](Variables& v) { v.x.store(1, relaxed), v.y.store(1, store); },
                   [=](Variables& v) {
                     if (v.y.load(load) == 1) v.y.store(2, store);
                   },
                   [=](Variables& v) { v.r[0] = v.y.load(load), v.r[1] = v.x.load(relaxed); }},
                  [](Variables& v) { return v.r[0] == 2 && v.r[1] == 0; }};
  };
  EXPECT_TRUE(IsForbidden(relay(release, acquire)));
  EXPECT_TRUE(IsAllowed(relay(relaxed, acquire)));
}

// ---- Release sequences.

Litmus ReleaseSequence(std::function<void(Variables&)> middle) {
  return {{[](Variables& v) { v.data.Set(1), v.x.store(1, release); }, std::move(middle),
           [](Variables& v) {
             if (v.x.load(acquire) == 2) v.data.Get();
           }},
          [](Variables&) { return false; }};
}

TEST_F(LitmusTest, ReadModifyWritesContinueAReleaseSequence) {
  EXPECT_TRUE(IsForbidden(ReleaseSequence([](Variables& v) {
    int one = 1;
    v.x.compare_exchange_strong(one, 2, relaxed, relaxed);
  })));
  EXPECT_TRUE(IsForbidden(ReleaseSequence([](Variables& v) {
    if (v.x.load(relaxed) == 1) v.x.fetch_add(1, relaxed);
  })));
}

TEST_F(LitmusTest, AStoreEndsAReleaseSequence) {
  EXPECT_TRUE(IsARace(ReleaseSequence([](Variables& v) {
    if (v.x.load(relaxed) == 1) v.x.store(2, relaxed);
  })));
}

TEST_F(LitmusTest, TheReleasersOwnRelaxedStoreEndsItToo) {
  const auto restore = [](Order second) {
    return Litmus{{[second](Variables& v) { v.data.Set(1), v.x.store(1, release), v.x.store(2, second); },
                   [](Variables& v) {
                     if (v.x.load(acquire) == 2) v.data.Get();
                   }},
                  [](Variables&) { return false; }};
  };
  EXPECT_TRUE(IsARace(restore(relaxed)));
  EXPECT_TRUE(IsForbidden(restore(release)));
}

TEST_F(LitmusTest, AReadModifyWriteIsNotSplit) {
  const auto increment = [](Variables& v) { v.x.fetch_add(1, relaxed); };
  EXPECT_TRUE(IsForbidden({{increment, increment, increment}, [](Variables& v) { return v.x.load() != 3; }}));
  EXPECT_TRUE(IsAllowed({{increment, increment, [](Variables& v) { v.x.store(v.x.load(relaxed) + 1, relaxed); }},
                         [](Variables& v) { return v.x.load() != 3; }}));
}

TEST_F(LitmusTest, AReadModifyWriteMayComeBeforeAStoreThatItDoesNotKnow) {
  const auto passing = [](Order store) {
    return Litmus{{[store](Variables& v) { v.x.store(1, relaxed), v.y.store(1, store); },
                   [](Variables& v) { v.r[0] = v.y.load(acquire), v.x.fetch_add(10, relaxed); }},
                  [](Variables& v) { return v.r[0] == 1 && v.x.load() == 1; }};
  };
  EXPECT_TRUE(IsAllowed(passing(relaxed)));
  EXPECT_TRUE(IsForbidden(passing(release)));
}

TEST_F(LitmusTest, AFailingCompareAndSwapMayReadThePast) {
  const auto fail = [](Order failure) {
    return Litmus{{[](Variables& v) { v.y.store(1, relaxed), v.x.store(1, release); },
                   [failure](Variables& v) {
                     int wrong = 7;
                     v.x.compare_exchange_strong(wrong, 8, acq_rel, failure);
                     v.r[0] = wrong;
                     v.r[1] = v.y.load(relaxed);
                   }},
                  [](Variables& v) { return v.r[0] == 1 && v.r[1] == 0; }};
  };
  EXPECT_TRUE(IsForbidden(fail(acquire)));
  EXPECT_TRUE(IsAllowed(fail(relaxed)));
  EXPECT_TRUE(IsAllowed({{[](Variables& v) { v.x.store(1, relaxed), v.y.fetch_add(1, relaxed); },
                          [](Variables& v) {
                            while (v.y.load(relaxed) == 0) CpuRelax();
                            int wrong = 7;
                            v.x.compare_exchange_strong(wrong, 8, relaxed, relaxed);
                            v.r[0] = wrong;
                          }},
                         [](Variables& v) { return v.r[0] == 0; }}));
}

// ---- What else is a violation.

// The futex word of a thread that waits for another.
class Ringing {
 public:
  static constexpr int kThreads = 2;
  explicit Ringing(bool forgets) : forgets_(forgets) {}
  void Thread(int index) {
    if (index == 0) {
      while (rung_.load(acquire) == 0) FutexWait(rung_, 0);
    } else {
      rung_.store(1, release);
      if (!forgets_) FutexWake(rung_, 1);
    }
  }
  void Finish() { Require(rung_.load() == 1, "it was rung"); }

 private:
  const bool forgets_;
  Atomic<uint32_t> rung_{0};
};

TEST(CheckerTest, FindsADeadlock) {
  EXPECT_EQ(Explore<Ringing>({}, true).violation, "deadlock: thread 0 sleeps on #0");
  const Result right = Explore<Ringing>({}, false);
  EXPECT_EQ(right.violation, "");
  EXPECT_TRUE(right.exhausted);
}

class Spinning {
 public:
  static constexpr int kThreads = 2;
  explicit Spinning(bool forgets) : forgets_(forgets) {}
  void Thread(int index) {
    if (index == 0) {
      while (flag_.load(acquire) != 2) CpuRelax();
    } else {
      flag_.store(1, release);
      if (!forgets_) flag_.store(2, release);
    }
  }
  void Finish() {}

 private:
  const bool forgets_;
  Atomic<uint32_t> flag_{0};
};

TEST(CheckerTest, ASpinningThreadSeesAStoreSomeTime) {
  const Result right = Explore<Spinning>({}, false);
  EXPECT_EQ(right.violation, "");
  EXPECT_TRUE(right.exhausted);
}

TEST(CheckerTest, FindsALoopThatNothingEnds) {
  EXPECT_EQ(Explore<Spinning>({}, true).violation, "livelock: every thread that is awake spins, and nobody writes");
}

class Checking {
 public:
  static constexpr int kThreads = 2;
  void Thread(int) {
    const int old = count_.fetch_add(1, relaxed);
    WEFT_CHECK(old == 0) << "the second one";
  }
  void Finish() {}

 private:
  Atomic<int> count_{0};
};

TEST(CheckerTest, AFailedCheckIsAViolationAndNotTheEnd) {
  EXPECT_NE(Explore<Checking>({}).violation.find("CHECK failed: old == 0: the second one"), std::string::npos);
}

// Somebody gives up the memory of a count when it has become zero.
class Counted {
 public:
  static constexpr int kThreads = 2;
  Counted(Order order, bool looks_again) : order_(order), looks_again_(looks_again) {}
  void Thread(int) {
    other_.load(relaxed);
    if (count_.fetch_sub(1, order_) == 1) {
      model::Retire(count_);
      model::Retire(other_);
    } else if (looks_again_) {
      count_.load(relaxed);
    }
  }
  void Finish() {}

 private:
  const Order order_;
  const bool looks_again_;
  Atomic<int> count_{2};
  Atomic<int> other_{0};
};

TEST(CheckerTest, FindsTheUseOfAnAtomicThatMayBeGone) {
  EXPECT_EQ(Explore<Counted>({}, acq_rel, false).violation, "");
  EXPECT_TRUE(Explore<Counted>({}, release, false).violation.starts_with("data race: thread"));
  EXPECT_TRUE(Explore<Counted>({}, acquire, false).violation.starts_with("data race: thread"));
  const std::string again = Explore<Counted>({}, acq_rel, true).violation;
  EXPECT_TRUE(again == "an atomic is used after the end of its life" || again.starts_with("data race")) << again;
}

class Handing {
 public:
  static constexpr int kThreads = 2;
  explicit Handing(Order order) : order_(order) {}
  void Thread(int index) {
    if (index == 0) {
      made_.emplace(1);
      handed_.store(&*made_, order_);
    } else if (Atomic<int>* made = handed_.load(acquire)) {
      Require(made->load(relaxed) == 1, "it was made");
    }
  }
  void Finish() {}

 private:
  const Order order_;
  std::optional<Atomic<int>> made_;
  Atomic<Atomic<int>*> handed_{nullptr};
};

TEST(CheckerTest, FindsTheUseOfAnAtomicThatMayNotBeThereYet) {
  EXPECT_EQ(Explore<Handing>({}, release).violation, "");
  EXPECT_EQ(Explore<Handing>({}, relaxed).violation,
            "data race: thread 1 uses an atomic whose creation by thread 0 is not ordered before");
}

// ---- How it explores.

class Swapping {
 public:
  static constexpr int kThreads = 1;
  void Thread(int) {
    int zero = 0;
    Require(value_.compare_exchange_weak(zero, 1, relaxed, relaxed), "a weak one does not fail for nothing");
  }
  void Finish() {}

 private:
  Atomic<int> value_{0};
};

TEST(CheckerTest, AWeakCompareAndSwapFailsForNothingWhereThatIsAskedFor) {
  EXPECT_EQ(Explore<Swapping>({}).violation, "");
  EXPECT_NE(Explore<Swapping>({.spurious_failures = 1}).violation, "");
}

class Sleeping {
 public:
  static constexpr int kThreads = 2;
  explicit Sleeping(bool timed) : timed_(timed) {}
  void Thread(int index) {
    if (index == 0) {
      const FutexOutcome outcome = timed_ ? FutexWait(word_, 0, 1000) : FutexWait(word_, 0);
      Require(outcome == FutexOutcome::kWoken, "there was time");
      Require(word_.load(relaxed) == 1, "nobody wakes for nothing");
    } else {
      word_.store(1, relaxed);
      FutexWake(word_, 1);
    }
  }
  void Finish() {}

 private:
  const bool timed_;
  Atomic<uint32_t> word_{0};
};

TEST(CheckerTest, ASleepEndsEarlyAndForNothingWhereThatIsAskedFor) {
  EXPECT_EQ(Explore<Sleeping>({}, true).violation, "there was time");
  EXPECT_EQ(Explore<Sleeping>({.spurious_wakes = 1}, false).violation, "nobody wakes for nothing");
}

// Needs exactly as many preemptions as it has increments in each thread, less one.
class Alternating {
 public:
  static constexpr int kThreads = 2;
  void Thread(int index) {
    for (int i = 0; i < 2; ++i) {
      const int seen = count_.load(relaxed);
      if (seen % 2 == index) count_.store(seen + 1, relaxed);
    }
  }
  void Finish() { Require(count_.load() < 4, "they never take turns"); }

 private:
  Atomic<int> count_{0};
};

TEST(CheckerTest, PreemptionsAreBounded) {
  const Result two = Explore<Alternating>({.preemptions = 1});
  EXPECT_EQ(two.violation, "");
  EXPECT_TRUE(two.exhausted);
  EXPECT_EQ(Explore<Alternating>({.preemptions = 2}).violation, "they never take turns");
}

TEST(CheckerTest, AScheduleGivesTheSameViolationAgain) {
  const Litmus litmus = StoreBuffering({}, {});
  const Result found = Explore<LitmusProgram<2>>({}, &litmus);
  ASSERT_NE(found.violation, "");
  const Result again = model::Replay<LitmusProgram<2>>({}, found.schedule, &litmus);
  EXPECT_EQ(again.violation, found.violation);
  EXPECT_EQ(again.trace, found.trace);
  EXPECT_EQ(again.schedule, found.schedule);
  EXPECT_EQ(again.executions, 1);
  EXPECT_FALSE(model::Replay<LitmusProgram<2>>({}, "no schedule", &litmus).exhausted);
}

TEST(CheckerTest, ATraceNamesThreadPlaceOperationAndValue) {
  const Litmus litmus = StoreBuffering({}, {});
  const std::string report = Explore<LitmusProgram<2>>({}, &litmus).Report();
  for (const char* part : {"thread 0", "thread 1", "litmus_test.cc:", "store #0 relaxed: 1", "load #1 relaxed: 0",
                           "VIOLATION", "schedule"}) {
    EXPECT_NE(report.find(part), std::string::npos) << part << " in\n" << report;
  }
}

TEST(CheckerTest, ChoicesCanBeDrawn) {
  const Litmus allowed = StoreBuffering({}, {});
  const Litmus forbidden = StoreBuffering({relaxed, kFullFence, relaxed}, {relaxed, kFullFence, relaxed});
  const Result found = Explore<LitmusProgram<2>>({.max_executions = 10'000, .seed = 1}, &allowed);
  EXPECT_NE(found.violation, "");
  EXPECT_EQ(model::Replay<LitmusProgram<2>>({}, found.schedule, &allowed).violation, found.violation);
  const Result none = Explore<LitmusProgram<2>>({.max_executions = 10'000, .seed = 1}, &forbidden);
  EXPECT_EQ(none.violation, "");
  EXPECT_EQ(none.executions, 10'000);
  EXPECT_FALSE(none.exhausted);
}

}  // namespace
}  // namespace weft::internal
