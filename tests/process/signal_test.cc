// Signals as values.
#include "weft/signal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "tests/support/child_process.h"
#include "weft/process.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;

void* ActionOf(int signal) {
  struct sigaction action;
  EXPECT_EQ(::sigaction(signal, nullptr, &action), 0);
  return reinterpret_cast<void*>(action.sa_handler);
}

class SignalsTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(SignalsTest);

TEST_P(SignalsTest, ASignalIsReceived) {
  Everywhere([]() -> Task<void> {
    Signals signals({SIGUSR1, SIGUSR2});
    ::raise(SIGUSR2);
    EXPECT_EQ(co_await signals.Next(), SIGUSR2);
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ(co_await signals.Next(), SIGUSR1); });
    for (int i = 0; i < 5; ++i) co_await Yield();
    ::raise(SIGUSR1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

// It goes to an OS thread that the kernel chooses, and that may be asleep for good: that of main(), in Run().
TEST_P(SignalsTest, ASignalOfAnotherProcessIsReceivedWhileEverybodyWaits) {
  Everywhere([]() -> Task<void> {
    Signals signals({SIGUSR1});
    absl::StatusOr<Process> sender = co_await Process::Start({"sh", "-c", "kill -USR1 $PPID"});
    EXPECT_TRUE(sender.ok()) << sender.status();
    if (!sender.ok()) co_return;
    EXPECT_EQ(co_await signals.Next(), SIGUSR1);
    EXPECT_TRUE((co_await sender->Wait())->success());
  });
}

TEST_P(SignalsTest, SignalsOfOneNumberAreOneUntilTheyAreReceived) {
  Everywhere([]() -> Task<void> {
    Signals signals({SIGUSR1, SIGUSR2});
    for (int i = 0; i < 3; ++i) ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await signals.Next(), SIGUSR1);  // in the order of their numbers
    EXPECT_EQ(co_await signals.Next(), SIGUSR2);
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), signals.Next())).has_value());
  });
}

TEST_P(SignalsTest, EachObjectReceivesWhatItWants) {
  Everywhere([]() -> Task<void> {
    Signals both({SIGUSR1, SIGUSR2});
    Signals one({SIGUSR1});
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_EQ(co_await one.Next(), SIGUSR1);
    EXPECT_EQ(co_await both.Next(), SIGUSR1);
    EXPECT_EQ(co_await both.Next(), SIGUSR2);
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), one.Next())).has_value());
  });
}

TEST_P(SignalsTest, EachSignalGoesToOneOfThoseWhoWait) {
  Everywhere([]() -> Task<void> {
    Signals signals({SIGUSR1, SIGUSR2});
    std::multiset<int> received;
    AwaitAll scope;
    Mutex mutex;
    for (int i = 0; i < 2; ++i) {
      scope.Fork([&]() -> Task<void> {
        const int signal = co_await signals.Next();
        const auto guard = co_await mutex.Lock();
        received.insert(signal);
      });
    }
    for (int i = 0; i < 5; ++i) co_await Yield();
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(received, (std::multiset<int>{SIGUSR1, SIGUSR2}));
  });
}

TEST_P(SignalsTest, ACancelledWaitTakesNoSignal) {
  Everywhere([]() -> Task<void> {
    Signals signals({SIGUSR1});
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), signals.Next())).has_value());
    ::raise(SIGUSR1);
    EXPECT_EQ(co_await signals.Next(), SIGUSR1);
  });
}

TEST_P(SignalsTest, TheActionOfBeforeIsBackWithTheLastObject) {
  Everywhere([]() -> Task<void> {
    void* const before = ActionOf(SIGUSR1);
    {
      Signals first({SIGUSR1});
      EXPECT_NE(ActionOf(SIGUSR1), before);
      {
        const Signals second({SIGUSR1});
      }
      EXPECT_NE(ActionOf(SIGUSR1), before);
      Signals moved = std::move(first);
      ::raise(SIGUSR1);
      EXPECT_EQ(co_await moved.Next(), SIGUSR1);
    }
    EXPECT_EQ(ActionOf(SIGUSR1), before);
  });
}

TEST_P(SignalsTest, WhatCameBeforeAnObjectWasMadeIsNotForIt) {
  Everywhere([]() -> Task<void> {
    const Signals guard({SIGUSR1});
    {
      const Signals earlier({SIGUSR1, SIGUSR2});
      ::raise(SIGUSR1);
    }
    Signals later({SIGUSR1});
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), later.Next())).has_value());
  });
}

TEST_P(SignalsTest, AShortageOfDescriptorsIsAnErrorOfOpen) {
  Everywhere([]() -> Task<void> {
    for (const int error : {EMFILE, ENFILE}) {
      const ScopedSyscallFault fault(&Syscalls::eventfd, {.error = error});
      EXPECT_EQ(ErrnoOf(Signals::Open({SIGUSR1}).status()), error);
    }
    co_return;
  });
}

// A thread of other code may have a stack that is next to full, and another one for handlers. (sigaltstack(2))
TEST(SignalsActionTest, TheHandlerRunsOnTheStackForHandlers) {
  const Signals signals({SIGUSR1});
  struct sigaction action;
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &action), 0);
  EXPECT_EQ(action.sa_flags & (SA_ONSTACK | SA_RESTART), SA_ONSTACK | SA_RESTART);
}

int last_eventfd = -1;

// What the child opens may get the number of the parent's eventfd.
TEST(SignalsForkTest, InAChildOfForkNothingIsWrittenToWhatHasTheNumberOfTheParents) {
  static const Syscalls noting = [] {
    Syscalls table = internal::RealSyscalls();
    table.eventfd = [](unsigned initial, int flags) {
      return last_eventfd = internal::RealSyscalls().eventfd(initial, flags);
    };
    return table;
  }();
  const internal::ScopedSyscalls scope(noting);
  const Signals inherited({SIGUSR1});
  const ChildEnd end = InChild([number = last_eventfd] {
    int fds[2];
    bool passed = ::pipe2(fds, O_NONBLOCK) == 0 && ::dup2(fds[1], number) == number;
    ::raise(SIGUSR1);
    uint64_t bytes = 0;
    passed = passed && ::read(fds[0], &bytes, sizeof(bytes)) < 0;
    // An object of the child's own receives.
    const Signals own({SIGUSR1});
    ::raise(SIGUSR1);
    passed = passed && ::read(fds[0], &bytes, sizeof(bytes)) < 0 && ::read(last_eventfd, &bytes, sizeof(bytes)) > 0;
    ::_exit(passed ? 7 : 8);
  });
  EXPECT_TRUE(end.Exited(7)) << end;
}

TEST(SignalsForkTest, InAChildOfForkNextOfAnInheritedObjectIsACheck) {
  Signals inherited({SIGUSR1});
  const ChildEnd end = InChild([&inherited] {
    (*Runtime::Create({.parallelism = 1}))->Run([](Signals& of_parent) -> Task<void> {
      static_cast<void>(co_await of_parent.Next());
    }(inherited));
  });
  EXPECT_TRUE(end.Refused("Signals::Next() in a child of fork() of an object that it has inherited")) << end;
}

// Of epoll's watches the user has only so many.
TEST(SignalsShortageTest, WhereItsWaitLacksSomethingNextWaitsAllTheSame) {
  (*Runtime::Create({.parallelism = 1, .io = IoBackend::kEpoll}))->Run([]() -> Task<void> {
    Signals signals({SIGUSR1});
    const ScopedSyscallFault fault(&Syscalls::epoll_ctl, {.times = 2, .error = ENOSPC});
    AwaitAll scope;
    scope.Fork([&]() -> Task<void> { EXPECT_EQ(co_await signals.Next(), SIGUSR1); });
    while (fault.calls() < 1) co_await Yield();
    ::raise(SIGUSR1);
    (co_await scope.Join()).IgnoreFailures();
  }());
}

// First, while the process has made no pipe yet.
TEST(SignalsDeathTest, APipeThatWasMadeWhileSigpipeWasReceivedDoesNotKillAfterwards) {
  EXPECT_EXIT(
      {
        std::optional<Signals> signals(std::in_place, std::initializer_list<int>{SIGPIPE});
        io::PipeEnds pipe = *io::MakePipe();
        signals.reset();
        pipe.reader.Close();
        const absl::Status written = (*Runtime::Create({.parallelism = 1}))->Run(pipe.writer.Write("x"));
        ::_exit(ErrnoOf(written) == EPIPE ? 7 : 8);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SignalsDeathTest, APipeThatIsMadeWhenAHandlerOfSigpipeHasGoneIgnoresIt) {
  EXPECT_EXIT(
      {
        ::signal(SIGPIPE, [](int) {});
        const bool first = io::MakePipe().ok();
        ::signal(SIGPIPE, SIG_DFL);
        const bool second = io::MakePipe().ok();
        ::_exit(first && second && ActionOf(SIGPIPE) == reinterpret_cast<void*>(SIG_IGN) ? 7 : 8);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SignalsDeathTest, WhatCannotBeReceivedIsRefused) {
  EXPECT_DEATH(Signals({SIGKILL}), "is not the number of a signal that can be received");
  EXPECT_DEATH(Signals({}), "no signal is wanted");
  EXPECT_DEATH(Signals({0}), "is not the number of a signal that can be received");
  EXPECT_DEATH(Signals({SIGSEGV}), "belongs to the thread whose fault raised it");
}

}  // namespace
}  // namespace weft::testing
