// Fibers. Goal: a switch keeps everything that belongs to a fiber, exceptions in flight included, and mixes nothing up.
// Method: fibers that count, throw, and switch at the awkward places. The same tests run under every sanitizer.
#include "lib/testing/fiber.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cfenv>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace weft::internal {
namespace {

TEST(FiberTest, RunsUntilItSwitchesBackAndGoesOnFromThere) {
  std::vector<int> order;
  Fiber fiber([&] {
    order.push_back(1);
    Fiber::SwitchBack();
    order.push_back(3);
  });
  EXPECT_TRUE(order.empty()) << "nothing runs before the first SwitchTo";
  fiber.SwitchTo();
  order.push_back(2);
  EXPECT_FALSE(fiber.done());
  fiber.SwitchTo();
  EXPECT_TRUE(fiber.done());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(FiberTest, CurrentIsTheFiberThatRuns) {
  Fiber* seen = nullptr;
  Fiber fiber([&] { seen = Fiber::Current(); });
  fiber.SwitchTo();
  EXPECT_EQ(seen, &fiber);
  EXPECT_EQ(Fiber::Current(), nullptr);
}

TEST(FiberTest, AFiberMaySwitchToAnotherAndIsReturnedTo) {
  std::string trace;
  Fiber inner([&] {
    trace += "b";
    Fiber::SwitchBack();
    trace += "e";
  });
  Fiber outer([&] {
    trace += "a";
    inner.SwitchTo();
    trace += "c";
    Fiber::SwitchBack();
    trace += "g";
  });
  outer.SwitchTo();
  trace += "d";
  inner.SwitchTo();  // by another caller than before
  trace += "f";
  outer.SwitchTo();
  EXPECT_EQ(trace, "abcdefg");
  EXPECT_TRUE(inner.done() && outer.done());
}

TEST(FiberTest, AMillionSwitches) {
  constexpr int kRounds = 500'000;
  int64_t sum = 0;
  Fiber fiber([&] {
    int64_t local = 0;  // lives on the fiber's stack all the time
    for (int i = 0; i < kRounds; ++i) {
      local += i;
      Fiber::SwitchBack();
    }
    sum = local;
  });
  for (int i = 0; i <= kRounds; ++i) fiber.SwitchTo();
  EXPECT_TRUE(fiber.done());
  EXPECT_EQ(sum, int64_t{kRounds} * (kRounds - 1) / 2);
}

TEST(FiberTest, ManyFibersTakeTurns) {
  constexpr int kFibers = 100;
  constexpr int kRounds = 50;
  std::vector<int> counts(kFibers);
  std::vector<std::unique_ptr<Fiber>> fibers;
  for (int i = 0; i < kFibers; ++i) {
    fibers.push_back(std::make_unique<Fiber>(
        [&counts, i] {
          volatile char filler[1024] = {};
          for (int round = 0; round < kRounds; ++round) {
            filler[round] = static_cast<char>(i);
            Fiber::SwitchBack();
            if (filler[round] == static_cast<char>(i)) ++counts[static_cast<size_t>(i)];
          }
        },
        64 * 1024));
  }
  for (int round = 0; round <= kRounds; ++round) {
    for (auto& fiber : fibers) fiber->SwitchTo();
  }
  for (int i = 0; i < kFibers; ++i) {
    EXPECT_TRUE(fibers[static_cast<size_t>(i)]->done());
    EXPECT_EQ(counts[static_cast<size_t>(i)], kRounds);
  }
}

TEST(FiberTest, AFiberThatHasNotEndedMayBeDestroyed) {
  Fiber never([] { FAIL() << "it was never switched to"; });
  for (int i = 0; i < 100; ++i) {
    Fiber fiber([] {
      volatile char filler[4096] = {};
      Fiber::SwitchBack();
      filler[0] = 1;
      FAIL() << "it goes on after its end";
    });
    fiber.SwitchTo();
  }
}

TEST(FiberTest, EachFiberKeepsItsRoundingMode) {
  ASSERT_EQ(std::fegetround(), FE_TONEAREST);
  Fiber fiber([] {
    std::fesetround(FE_UPWARD);
    Fiber::SwitchBack();
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
  });
  fiber.SwitchTo();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  fiber.SwitchTo();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

TEST(FiberTest, ASwitchOrdersTheTwoSides) {
  int shared = 0;  // plain: ThreadSanitizer sees fibers as threads, and checks
  Fiber fiber([&] {
    for (int i = 0; i < 100; ++i) {
      ++shared;
      Fiber::SwitchBack();
    }
  });
  for (int i = 0; i < 100; ++i) {
    ++shared;
    fiber.SwitchTo();
  }
  EXPECT_EQ(shared, 200);
}

[[gnu::noinline]] int Recurse(int depth) {
  volatile char local[3000];
  local[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : Recurse(depth - 1) + local[0];
}

TEST(FiberDeathTest, AStackThatIsUsedUpIsNamed) {
  EXPECT_DEATH(
      {
        Fiber fiber([] { Recurse(1'000'000); }, 64 * 1024, "the one");
        fiber.SwitchTo();
      },
      "weft: the stack of the one is used up, all 64 KiB: ");
  // Of a sentence that is too long the beginning is said, and nothing else.
  const std::string long_name(500, 'x');
  EXPECT_DEATH(
      {
        Fiber fiber([] { Recurse(1'000'000); }, 64 * 1024, long_name.c_str());
        fiber.SwitchTo();
      },
      "weft: the stack of x{237}($|\n|=|AddressS|ThreadS)");
  // By a local that is larger than a page, and than what is left.
  EXPECT_DEATH(
      {
        Fiber fiber(
            [] {
              volatile char large[400 * 1024];
              for (char volatile& each : large) each = 0;
            },
            64 * 1024);
        fiber.SwitchTo();
      },
      "weft: the stack of a fiber is used up, all 64 KiB: ");
}

// Destroyed after what was made later on its thread. Leaves what was there before, which a sanitizer takes away itself.
struct LooksAtThreadExit {
  ~LooksAtThreadExit() {
    ::sigaltstack(nullptr, seen);
    ::sigaltstack(&before, nullptr);
  }
  stack_t* seen = nullptr;
  stack_t before = {};
};
thread_local LooksAtThreadExit looks_at_thread_exit;

// The alternate signal stack of a thread goes with it, and one that the program has put in its place stays.
TEST(FiberTest, AThreadThatEndsHasTheSignalStackThatItHadBeforeOrItsOwn) {
  for (const bool own : {false, true}) {
    std::vector<char> memory(size_t{256} * 1024);
    stack_t expected = {}, at_exit = {};
    std::thread([&] {
      looks_at_thread_exit.seen = &at_exit;
      ::sigaltstack(nullptr, &looks_at_thread_exit.before);
      expected = looks_at_thread_exit.before;
      Fiber fiber([] {});
      fiber.SwitchTo();
      if (!own) return;
      expected = {.ss_sp = memory.data(), .ss_flags = 0, .ss_size = memory.size()};
      ASSERT_EQ(::sigaltstack(&expected, nullptr), 0);
    }).join();
    EXPECT_EQ(at_exit.ss_flags & SS_DISABLE, expected.ss_flags & SS_DISABLE);
    if ((expected.ss_flags & SS_DISABLE) == 0) EXPECT_EQ(at_exit.ss_sp, expected.ss_sp);
  }
}

// What was there before is told of faults that are no overflow, and then of those that are.
TEST(FiberDeathTest, TheHandlerBeforeGoesOn) {
  const auto exit_with_7 = [] {
    struct sigaction action = {};
    action.sa_handler = [](int) { ::_exit(7); };
    action.sa_flags = SA_ONSTACK;
    ::sigaction(SIGSEGV, &action, nullptr);
  };
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // no fiber has been made there
  EXPECT_EXIT(
      {
        exit_with_7();
        Fiber fiber([] { ::raise(SIGSEGV); });
        fiber.SwitchTo();
      },
      ::testing::ExitedWithCode(7), "^$");
  EXPECT_EXIT(
      {
        exit_with_7();
        Fiber fiber([] { Recurse(1'000'000); });
        fiber.SwitchTo();
      },
      ::testing::ExitedWithCode(7), "weft: the stack of a fiber is used up");
}

TEST(FiberDeathTest, MisuseIsNamed) {
  EXPECT_DEATH(Fiber::SwitchBack(), "outside of a fiber");
  Fiber ended([] {});
  ended.SwitchTo();
  EXPECT_DEATH(ended.SwitchTo(), "a fiber that is done");
  EXPECT_DEATH(
      {
        Fiber fiber([] { Fiber::Current()->SwitchTo(); });
        fiber.SwitchTo();
      },
      "a fiber that runs");
}

#ifdef __cpp_exceptions

TEST(FiberTest, AnExceptionIsCaughtWithinItsFiber) {
  std::string caught;
  Fiber fiber([&] {
    for (int i = 0; i < 10; ++i) {
      try {
        Fiber::SwitchBack();
        throw std::runtime_error(std::to_string(i));
      } catch (const std::exception& error) {
        caught += error.what();
      }
    }
  });
  while (!fiber.done()) fiber.SwitchTo();
  EXPECT_EQ(caught, "0123456789");
}

TEST(FiberTest, TwoFibersMayEachBeInACatchBlock) {
  std::string rethrown[2];
  auto work = [&](int self) {
    try {
      throw std::runtime_error("of " + std::to_string(self));
    } catch (...) {
      Fiber::SwitchBack();  // the other enters or leaves its own catch block meanwhile
      try {
        throw;
      } catch (const std::exception& error) {
        rethrown[self] = error.what();
        Fiber::SwitchBack();
      }
    }
  };
  Fiber first([&] { work(0); });
  Fiber second([&] { work(1); });
  while (!first.done() || !second.done()) {
    for (Fiber* fiber : {&first, &second}) {
      if (!fiber->done()) fiber->SwitchTo();
      EXPECT_EQ(std::current_exception(), nullptr);
    }
  }
  EXPECT_EQ(rethrown[0], "of 0");
  EXPECT_EQ(rethrown[1], "of 1");
}

struct SwitchesInItsDestructor {
  std::vector<int>* counts;
  ~SwitchesInItsDestructor() {
    counts->push_back(std::uncaught_exceptions());
    Fiber::SwitchBack();
    counts->push_back(std::uncaught_exceptions());
  }
};

TEST(FiberTest, ASwitchInADestructorThatRunsWhileAnExceptionUnwindsKeepsItInFlight) {
  std::vector<int> counts;
  std::string caught;
  auto work = [&](const char* name) {
    try {
      SwitchesInItsDestructor guard{&counts};
      throw std::runtime_error(name);
    } catch (const std::exception& error) {
      caught += error.what();
    }
  };
  Fiber first([&] { work("a"); });
  Fiber second([&] { work("b"); });
  first.SwitchTo();
  EXPECT_EQ(std::uncaught_exceptions(), 0) << "the exception belongs to the fiber";
  second.SwitchTo();
  // The caller throws and catches while both are unwinding, and they end in the order in which they began.
  EXPECT_THROW(throw std::logic_error("of the caller"), std::logic_error);
  first.SwitchTo();
  second.SwitchTo();
  EXPECT_TRUE(first.done() && second.done());
  EXPECT_EQ(caught, "ab");
  EXPECT_EQ(counts, (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

TEST(FiberTest, ANewFiberThatIsStartedDuringUnwindingSeesNoException) {
  struct StartsAFiber {
    ~StartsAFiber() {
      Fiber fiber([] {
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        EXPECT_EQ(std::current_exception(), nullptr);
        EXPECT_THROW(throw 1, int);
      });
      fiber.SwitchTo();
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  };
  EXPECT_THROW(
      {
        StartsAFiber starts;
        throw std::runtime_error("in flight");
      },
      std::runtime_error);
}

TEST(FiberDeathTest, AnExceptionThatLeavesTheFunctionEndsTheProcess) {
  EXPECT_DEATH(
      {
        Fiber fiber([] { throw std::runtime_error("not caught"); });
        fiber.SwitchTo();
      },
      "not caught|terminate");
}

#endif  // __cpp_exceptions

}  // namespace
}  // namespace weft::internal
