// Goal: a pinned thread goes on on its carrier, whatever it waits for and whoever wakes it; others are not kept there,
// and it keeps nobody waiting. Method: threads note where they were pinned, and look after each wait, in simulations
// under many seeds and on real carriers, beside threads that keep all carriers busy, and so provoke thefts. (That each
// checkpoint leaves a pinned thread where it was is tested beside the tables of checkpoints, in tests/cancel.)
#include "weft/pin.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/fence.h"
#include "tests/support/fork_here.h"
#include "tests/support/on_both.h"
#include "weft/all.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/io/readiness.h"
#include "weft/runtime.h"
#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {
namespace {

using testing::Forever;
using testing::ForkHere;
using testing::Introduction;
using testing::UntilParked;

// Where the current thread runs. (In a simulation all carriers are one OS thread.)
struct Place {
  int carrier = VirtualThread::Current().carrier();
  pid_t os_thread = ::gettid();

  friend bool operator==(const Place&, const Place&) = default;
};

// Pins the thread, and looks whether it stays; also when it is destroyed.
class Stays {
 public:
  Stays() = default;
  ~Stays() { Look("at the end"); }
  void Look(const char* after) const { EXPECT_EQ(Place(), place_) << "moved " << after; }

 private:
  const Pin pin_;
  const Place place_;
};

class PinTest : public testing::OnBoth {
 protected:
  // Runs `body` as a thread beside some that go from carrier to carrier until it has ended.
  template <class Body>
  static void AmongOthers(Body body) {
    Everywhere([&body]() -> Task<void> {
      std::atomic<bool> done{false};
      AwaitAll scope;
      for (int i = 0; i < carriers() + 1; ++i) {
        scope.Fork([&done]() -> Task<void> {
          while (!done) co_await Yield();
        });
      }
      co_await body();
      done = true;
      (co_await scope.Join()).IgnoreFailures();
    });
  }
};
WEFT_ON_BOTH(PinTest);

// ---- It stays.

Task<void> SetSoon(Event& event) {
  for (int i = 0; i < 3; ++i) co_await Yield();
  event.Set();
}

TEST_P(PinTest, APinnedThreadStaysWhereItIsWhateverItWaitsFor) {
  AmongOthers([]() -> Task<void> {
    const auto pinned = [](Mutex& mutex) -> Task<void> {
      const Stays stays;
      AwaitAll scope;
      for (int round = 0; round < 3; ++round) {
        co_await Yield();
        stays.Look("in Yield()");
        co_await Sleep(absl::Microseconds(1));
        stays.Look("in Sleep()");
        Event event;
        scope.Fork(SetSoon(event));
        co_await event.Wait();
        stays.Look("in Event::Wait()");
        {
          const MutexGuard guard = co_await mutex.Lock();
          stays.Look("in Mutex::Lock()");
          co_await Yield();
        }
        (co_await scope.Join()).IgnoreFailures();
        stays.Look("in Join()");
        const VirtualThread unparker = VirtualThread::Start([self = VirtualThread::Current()]() -> Task<void> {
          co_await Yield();
          self.Unpark();
        });
        EXPECT_EQ(co_await unparker.Join(), absl::OkStatus());
        stays.Look("in VirtualThread::Join()");
        co_await VirtualThread::Park();
        stays.Look("in Park()");
        EXPECT_TRUE((co_await Blocking([] { EXPECT_FALSE(VirtualThread::HasCurrent()); })).ok());
        stays.Look("in Blocking()");
        EXPECT_FALSE(co_await MoveOnAfter(absl::Microseconds(1), Forever()));
        stays.Look("in MoveOnAfter()");
      }
    };
    Mutex mutex;
    AwaitAll scope;
    for (int i = 0; i < 4; ++i) scope.Fork(pinned(mutex));
    (co_await scope.Join()).IgnoreFailures();
  });
}

// What runs in its place may end on another carrier, and resumes its owner there, unless the owner is pinned.
TEST_P(PinTest, APinnedOwnerGoesOnOnItsCarrierWhereverTheLastChildEnds) {
  AmongOthers([]() -> Task<void> {
    const auto branch = [](int yields) -> Task<int> {
      Event event;
      AwaitAll scope;
      scope.Fork(SetSoon(event));
      co_await event.Wait();
      for (int i = 0; i < yields; ++i) co_await Yield();
      (co_await scope.Join()).IgnoreFailures();
      co_return 1;
    };
    const Stays stays;
    for (int round = 0; round < 5; ++round) {
      const auto [a, b] = co_await All(branch(1), branch(2));
      stays.Look("in All()");
      EXPECT_EQ(a + b, 2);
      const auto [c] = co_await All(branch(round));
      stays.Look("in All() of one");
      AwaitAll scope;
      for (int i = 0; i < 3; ++i) scope.Fork(branch(i));
      (co_await scope.Join()).IgnoreFailures();
      stays.Look("in Join()");
      EXPECT_EQ(c, 1);
    }
  });
}

TEST_P(PinTest, PinsCount) {
  Everywhere([]() -> Task<void> {
    const Place place;
    std::optional<Pin> first, second;
    const auto is_pinned = [] {
      return VirtualThread::Current().ToString().find(", pinned to carrier-") != std::string::npos;
    };
    EXPECT_FALSE(is_pinned());
    first.emplace();
    second.emplace();
    first.reset();
    EXPECT_TRUE(is_pinned());
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_EQ(Place(), place);
    second.reset();
    EXPECT_FALSE(is_pinned());
    // Wherever it has come to by then.
    const Stays again;
    co_await Yield();
  });
}

TEST_P(PinTest, APinnedThreadThatIsCancelledIsUnwoundOnItsCarrier) {
  AmongOthers([]() -> Task<void> {
    Introduction made;
    AwaitAll scope;
    scope.Fork([&made]() -> Task<void> {
      const Stays stays;
      AwaitAll inner;
      // The thread waits for this one while it is unwound.
      inner.Fork([]() -> Task<void> {
        const Stays child_stays;
        co_await Shield([]() -> Task<void> {
          for (int i = 0; i < 3; ++i) co_await Yield();
        }());
      });
      co_await Forever(made);
    });
    co_await made.AwaitParked();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PinTest, TheEndOfARuntimeEndsPinnedThreads) {
  const auto run = [](Runtime& runtime) {
    runtime.Run([]() -> Task<void> {
      for (int i = 0; i < 4; ++i) {
        VirtualThread::Start([]() -> Task<void> {
          const Stays stays;
          co_await Forever();
        });
      }
      co_await Yield();
    }());
  };
  if (simulated()) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      testing::Simulation simulation({.carriers = carriers(), .seed = seed});
      run(simulation.runtime());
    }
  } else {
    for (int i = 0; i < kRounds; ++i) run(*Runtime::Create({.parallelism = carriers()}).value());
  }
}

// ---- What it does to others.

TEST_P(PinTest, TheThreadsThatAPinnedThreadForksAreNotPinned) {
  if (simulated() || carriers() < 2) return;  // one has to run while another one computes
  Everywhere([]() -> Task<void> {
    const Stays stays;
    std::atomic<bool> ran{false};
    AwaitAll scope;
    scope.Fork([&ran]() -> Task<void> {
      ran = true;
      co_return;
    });
    while (!ran) internal::CpuRelax();
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(PinTest, ADestructorThatWaitsRunsPinnedThreadsOfItsScope) {
  AmongOthers([]() -> Task<void> {
    const Stays stays;
    std::atomic<int> ended{0};
    {
      AwaitAll scope;
      Event begun[3];
      for (Event& each : begun) {
        scope.Fork([&each, &ended]() -> Task<void> {
          const Stays child_stays;
          co_await Shield([](Event& event) -> Task<void> {
            event.Set();
            for (int i = 0; i < 5; ++i) co_await Yield();
          }(each));
          ++ended;
        });
      }
      for (Event& each : begun) co_await each.Wait();
    }
    EXPECT_EQ(ended, 3);
    stays.Look("in a destructor");
  });
}

// A destructor holds the one carrier there is. On the spare one a thread is pinned, and goes on there when the spare
// one has retired.
Task<void> PinOnASpareCarrier() {
  Event pinned, go_on;
  std::optional<int> spare;
  AwaitAll scope;
  {
    AwaitAll held;
    Event begun;
    held.Fork([&]() -> Task<void> {
      co_await Shield([&]() -> Task<void> {
        begun.Set();
        co_await pinned.Wait();
      }());
    });
    co_await begun.Wait();
    scope.Fork([&]() -> Task<void> {
      const Stays stays;
      spare = VirtualThread::Current().carrier();
      pinned.Set();
      co_await go_on.Wait();
      stays.Look("when its carrier had retired");
      for (int i = 0; i < 100; ++i) co_await Yield();
      AwaitAll inner;
      inner.Fork(Sleep(absl::Microseconds(1)));
      // Others run elsewhere, and it does not wait for its turn among them.
      for (int i = 0; i < 20; ++i) {
        for (int k = 0; k < 3; ++k) inner.Fork(Yield());
        co_await Yield();
      }
      (co_await inner.Join()).IgnoreFailures();
    });
  }
  EXPECT_EQ(spare, 1);
  for (int i = 0; i < 100; ++i) co_await Yield();
  go_on.Set();
  (co_await scope.Join()).IgnoreFailures();
}

TEST(PinOnASpareCarrierTest, ACarrierThatHasRetiredRunsTheThreadsThatArePinnedToIt) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    testing::Simulation({.carriers = 1, .seed = seed, .min_runnable = 1}).Run(PinOnASpareCarrier());
  }
  Runtime::Create({.parallelism = 1, .min_runnable = 1, .held_carrier_threshold = absl::ZeroDuration()})
      .value()
      ->Run(PinOnASpareCarrier());
}

// The only other carrier computes, and polls for nobody. Late: it sleeps when the thread begins to wait, and so is the
// one that would fetch the event.
Task<void> ReadOnARetiredCarrier(bool late) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_NONBLOCK | O_CLOEXEC), 0);
  Event waits, begun;
  std::atomic<bool> readable{false};
  AwaitAll scope;
  {
    AwaitAll held;
    held.Fork([&]() -> Task<void> {
      co_await Shield([&]() -> Task<void> {
        begun.Set();
        co_await waits.Wait();
      }());
    });
    co_await begun.Wait();
    scope.Fork([&]() -> Task<void> {
      const Pin pin;
      waits.Set();
      if (late) co_await Sleep(absl::Milliseconds(50));
      EXPECT_TRUE((co_await io::WaitReadable(pipe[0])).ok());
      readable = true;
    });
  }
  const auto compute_for = [&](absl::Duration most) {
    const absl::Time begin = absl::Now();
    while (!readable && absl::Now() - begin < most) internal::CpuRelax();
  };
  compute_for(absl::Milliseconds(20));  // until then the other one has retired
  if (late) co_await Sleep(absl::Milliseconds(100));
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  compute_for(absl::Seconds(20));
  EXPECT_TRUE(readable);
  (co_await scope.Join()).IgnoreFailures();
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(PinOnASpareCarrierTest, ACarrierThatHasRetiredFetchesWhatTheThreadsThatArePinnedToItWaitFor) {
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (const bool late : {false, true}) {
      Runtime::Create({.parallelism = 1, .min_runnable = 1, .held_carrier_threshold = absl::ZeroDuration(), .io = io})
          .value()
          ->Run(ReadOnARetiredCarrier(late));
    }
  }
}

TEST(PinOnAHeldCarrierTest, APinnedThreadWaitsForItsCarrierAndTheOthersRunElsewhere) {
  Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::Milliseconds(1)}).value()->Run([]() -> Task<void> {
    const Stays holder;
    std::atomic<bool> let_go{false}, others_ran{false};
    Event go;
    AwaitAll scope;
    Introduction made;
    co_await ForkHere(scope, [&]() -> Task<void> {  // there may be a spare carrier, for a hold before this
      const Stays stays;
      made.Make();
      co_await go.Wait();
      EXPECT_TRUE(let_go);
    });
    co_await made.AwaitParked();
    scope.Fork([&]() -> Task<void> {
      others_ran = true;
      co_return;
    });
    go.Set();
    while (!others_ran) internal::CpuRelax();  // on a spare carrier
    let_go = true;
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// The other carriers may all sleep without a limit when it is woken.
TEST(PinTimersTest, OthersFireTheTimersOfItsCarrierWhileItComputes) {
  Runtime::Create({.parallelism = 2, .held_carrier_threshold = absl::ZeroDuration()}).value()->Run([]() -> Task<void> {
    const Stays stays;
    std::atomic<bool> woken{false};
    AwaitAll scope;
    co_await ForkHere(scope, [&]() -> Task<void> {
      co_await Sleep(absl::Milliseconds(60));
      woken = true;
    });
    co_await Sleep(absl::Milliseconds(30));
    const absl::Time begin = absl::Now();
    while (!woken && absl::Now() - begin < absl::Seconds(20)) internal::CpuRelax();
    EXPECT_TRUE(woken);
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// ---- Misuse.

template <class Make>
void Simulate(Make make) {
  testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.Run(make());
}

TEST(PinDeathTest, OnlyAVirtualThreadIsPinned) {
  EXPECT_DEATH({ const Pin pin; }, "weft::Pin outside a virtual thread; start one with weft::Run\\(task\\)");
  EXPECT_DEATH(Simulate([]() -> Task<void> { (co_await Blocking([] { const Pin pin; })).IgnoreError(); }),
               "weft::Pin outside a virtual thread");
}

TEST(PinDeathTest, APinIsDestroyedByTheThreadThatItPins) {
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 std::unique_ptr<Pin> pin = std::make_unique<Pin>();
                 VirtualThread::Builder builder;
                 const VirtualThread other = builder.Name("other").Start([&pin]() -> Task<void> {
                   pin.reset();
                   co_return;
                 });
                 (co_await other.Join()).IgnoreError();
               }),
               "a weft::Pin of VirtualThread\\[#1\\] is destroyed by VirtualThread\\[#2,other\\]/runnable@carrier-0; "
               "keep it in a frame of the thread that it pins");
}

TEST(PinDeathTest, APinThatIsLeftWhenItsThreadEndsIsNoticed) {
  static std::unique_ptr<Pin> left;
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 left = std::make_unique<Pin>();
                 co_return;
               }),
               "VirtualThread\\[#1\\] ends, and a weft::Pin that it has made is left");
  EXPECT_DEATH(Simulate([]() -> Task<void> {
                 co_await All([]() -> Task<void> {
                   left = std::make_unique<Pin>();
                   co_return;
                 }());
               }),
               "VirtualThread\\[#2\\] ends, and a weft::Pin");
}

TEST(PinDeadlockTest, AReportSaysWhichThreadsArePinned) {
  std::string report;
  testing::Simulation simulation({.carriers = 1, .on_deadlock = [&report](const std::string& text) { report = text; }});
  static_cast<void>(simulation.TryRun([]() -> Task<void> {
    const Pin pin;
    co_await Forever();
  }()));
  EXPECT_NE(report.find("VirtualThread[#1]/waiting, pinned to carrier-0 in Event::Wait at "), std::string::npos)
      << report;
}

}  // namespace
}  // namespace weft
