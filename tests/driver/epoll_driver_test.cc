// Goal: that drivers share one epoll descriptor without forgetting each other, and treat every answer of the kernel.
// Method: several drivers on threads of their own, and system calls that are made to fail.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "lib/driver/driver.h"
#include "lib/driver/epoll/descriptor_table.h"
#include "lib/driver/epoll/epoll_backend.h"
#include "lib/testing/syscall_fault.h"
#include "tests/driver/driver_fixture.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int64_t kMillisecondNs = 1'000'000;

class EpollDriverTest : public testing::Test {
 protected:
  void TearDown() override {
    backend_ = nullptr;
    EXPECT_EQ(CountDescriptors(), descriptors_);
  }

  std::unique_ptr<Driver> NewDriver() { return *backend_->NewDriver(); }

  const int descriptors_ = CountDescriptors();  // first
  std::shared_ptr<Backend> backend_ = *EpollBackend::Create();
};

// ---- Many drivers --------------------------------------------------------------------------------------------------

TEST_F(EpollDriverTest, WhoeverPollsDeliversWhatAnotherDriverStarted) {
  const std::unique_ptr<Driver> busy = NewDriver();
  const std::unique_ptr<Driver> idle = NewDriver();
  const Pair pair = UnixPair();
  char buffer;
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(busy->Start(op));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  EXPECT_EQ(idle->Poll(Driver::kNoTimeout), 1);
  EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(busy->in_flight(), 0);
  EXPECT_EQ(idle->in_flight(), 0);
}

// A driver that waits while another one may be the poller; it returns when `op` has ended.
std::thread PollUntilDoneElsewhere(Backend& backend, CountedOperation& op, Atomic<int>& waiting,
                                   Driver::Waits waits = Driver::Waits::kInTurn) {
  return std::thread([&, waits] {
    const std::unique_ptr<Driver> driver = *backend.NewDriver();
    driver->SetWaits(waits);
    waiting.fetch_add(1, std::memory_order_acq_rel);
    PollUntilDone(*driver, op);
  });
}

//  1. A driver is the poller, and leaves.
//  2. Another one, if it was quick, sleeps on its futex: it saw a poller.
//  3. An event comes. Nobody is in epoll_wait.
// What has to happen between 2 and 3: somebody notices (`leave`).
void ASleeperTakesThePlaceOfOneThatLeaves(Backend& backend, void (*leave)(std::unique_ptr<Driver>& leaver),
                                          Driver::Waits sleeper = Driver::Waits::kInTurn) {
  for (int round = 0; round < 200; ++round) {
    const Pair pair = UnixPair();
    char buffer;
    CountedOperation op;
    op.SetReceive(pair.a.get(), &buffer, 1);
    const std::unique_ptr<Driver> starter = *backend.NewDriver();
    ASSERT_FALSE(starter->Start(op));
    std::unique_ptr<Driver> leaver = *backend.NewDriver();
    Atomic<int> waiting{0};
    std::thread other = PollUntilDoneElsewhere(backend, op, waiting, sleeper);
    while (waiting.load(std::memory_order_acquire) == 0) leaver->Poll(kMillisecondNs / 20);
    leave(leaver);
    ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
    other.join();
    EXPECT_EQ(op.ends, 1);
    backend.Forget(pair.a.get());
  }
}

// It computes; whoever sees that relieves it.
TEST_F(EpollDriverTest, ReliefWakesASleeperToPollInPlaceOfADriverThatComputes) {
  ASleeperTakesThePlaceOfOneThatLeaves(*backend_, [](std::unique_ptr<Driver>& leaver) { leaver->Relieve(); });
}

TEST_F(EpollDriverTest, ADriverThatGoesAwayWakesASleeperToPoll) {
  ASleeperTakesThePlaceOfOneThatLeaves(*backend_, [](std::unique_ptr<Driver>& leaver) { leaver = nullptr; });
}

TEST_F(EpollDriverTest, ADriverThatGoesAsideWakesASleeperToPoll) {
  ASleeperTakesThePlaceOfOneThatLeaves(*backend_, [](std::unique_ptr<Driver>& leaver) {
    leaver->SetWaits(Driver::Waits::kAside);
    leaver->Poll(kMillisecondNs / 20);
  });
}

// Nobody else looks for what it waits for.
TEST_F(EpollDriverTest, ADriverThatAlwaysWaitsTakesThePlaceOfOneThatLeaves) {
  ASleeperTakesThePlaceOfOneThatLeaves(*backend_, [](std::unique_ptr<Driver>&) {}, Driver::Waits::kAlways);
}

// Its carrier would have to hand on whatever it fetched.
TEST_F(EpollDriverTest, ADriverThatIsAsideLeavesTheEventsToOthers) {
  const Pair pair = UnixPair();
  char buffer;
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  const std::unique_ptr<Driver> aside = NewDriver();
  ASSERT_FALSE(aside->Start(op));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  aside->SetWaits(Driver::Waits::kAside);
  EXPECT_EQ(aside->Poll(kMillisecondNs), 0);
  EXPECT_EQ(op.ends, 0);
  EXPECT_EQ(NewDriver()->Poll(Driver::kNoTimeout), 1);
  EXPECT_EQ(op.ends, 1);
  // Called back, it is like any other.
  op.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(aside->Start(op));
  ASSERT_EQ(::send(pair.b.get(), "y", 1, 0), 1);
  aside->SetWaits(Driver::Waits::kInTurn);
  EXPECT_EQ(aside->Poll(Driver::kNoTimeout), 1);
  backend_->Forget(pair.a.get());
}

TEST_F(EpollDriverTest, SleepersReturnWhenTheirTimeIsUpAndNotBefore) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::unique_ptr<Driver> driver = NewDriver();
      const auto start = steady_clock::now();
      EXPECT_EQ(driver->Poll((5 + i) * kMillisecondNs), 0);
      EXPECT_GE(steady_clock::now() - start, milliseconds(5 + i));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EpollDriverTest, ManyEventsAtOnceEndEachOperationOnce) {
  constexpr int kCount = 400;  // more than one epoll_wait fetches
  const std::unique_ptr<Driver> driver = NewDriver();
  std::vector<Pair> pairs(kCount);
  std::vector<CountedOperation> ops(kCount);
  char buffers[kCount];
  for (int i = 0; i < kCount; ++i) {
    pairs[i] = UnixPair();
    ops[i].SetReceive(pairs[i].a.get(), &buffers[i], 1);
    ASSERT_FALSE(driver->Start(ops[i]));
  }
  for (Pair& pair : pairs) ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  int delivered = 0;
  while (delivered < kCount) delivered += driver->Poll(Driver::kNoTimeout);
  for (CountedOperation& op : ops) EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(driver->in_flight(), 0);
}

// A driver whose poll falls into the middle of another one's receive.
struct EdgeInTheGap {
  Driver* poller = nullptr;
  int peer = -1;
};
EdgeInTheGap gap;

//  1. The first driver's receive says EAGAIN.
//  2. The byte arrives; the second driver fetches the edge, and finds no waiter.
//  3. The first driver makes the receive a waiter. No further edge will come.
// What has to happen in 3: it learns of the edge, and tries again.
TEST_F(EpollDriverTest, AnEdgeBetweenTheTryAndTheWaitIsNotLost) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const std::unique_ptr<Driver> other = NewDriver();
  const Pair pair = UnixPair();
  char buffer;
  CountedOperation first;  // registers the socket
  first.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(driver->Start(first));
  driver->RequestCancel(first);
  PollUntilDone(*driver, first);

  gap = {.poller = other.get(), .peer = pair.b.get()};
  static Syscalls syscalls = RealSyscalls();
  syscalls.recv = [](int fd, void* to, size_t size, int flags) {
    const ssize_t result = RealSyscalls().recv(fd, to, size, flags);
    if (result >= 0 || gap.poller == nullptr) return result;
    const EdgeInTheGap now = gap;
    gap = {};
    EXPECT_EQ(RealSyscalls().send(now.peer, "x", 1, 0), 1);
    EXPECT_EQ(now.poller->Poll(0), 0);
    errno = EAGAIN;
    return result;
  };
  const ScopedSyscalls scoped(syscalls);
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  EXPECT_TRUE(driver->Start(op));
  EXPECT_EQ(op.result, 1);
}

//  1. The first driver's receive says EAGAIN.
//  2. Two bytes arrive with one edge; another driver fetches it, and finds no waiter.
//  3. A second receive takes one of the bytes.
//  4. The first driver makes its receive a waiter. No further edge will come.
// What has to happen in 4: it tries again, although the second receive has been there since, and takes the other byte.
TEST_F(EpollDriverTest, AnEdgeThatAnotherOperationHasMadeUseOfIsNotLost) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const std::unique_ptr<Driver> other = NewDriver();
  const Pair pair = UnixPair();
  char buffer;
  CountedOperation registers;
  registers.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(driver->Start(registers));
  driver->RequestCancel(registers);
  PollUntilDone(*driver, registers);

  char taken = 0;
  static CountedOperation second;
  second.SetReceive(pair.a.get(), &taken, 1);
  gap = {.poller = other.get(), .peer = pair.b.get()};
  static Syscalls syscalls = RealSyscalls();
  syscalls.recv = [](int fd, void* to, size_t size, int flags) {
    const ssize_t result = RealSyscalls().recv(fd, to, size, flags);
    if (result >= 0 || gap.poller == nullptr) return result;
    const EdgeInTheGap now = gap;
    gap = {};
    EXPECT_EQ(RealSyscalls().send(now.peer, "xy", 2, 0), 2);
    EXPECT_EQ(now.poller->Poll(0), 0);
    EXPECT_TRUE(now.poller->Start(second));
    errno = EAGAIN;
    return result;
  };
  const ScopedSyscalls scoped(syscalls);
  CountedOperation first;
  first.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_TRUE(driver->Start(first));
  EXPECT_EQ(first.result, 1);
  EXPECT_EQ(buffer, 'y');
  EXPECT_EQ(taken, 'x');
}

// ---- Short receives (emptied.h) -------------------------------------------------------------------------------------

// Receives once with room for 16 bytes, waiting if need be, and returns what came.
std::string ReceiveSome(Driver& driver, int fd) {
  char buffer[16];
  CountedOperation op;
  op.SetReceive(fd, buffer, sizeof(buffer));
  const int32_t got = Finish(driver, op);
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::to_string(got);
}

void SendAll(int fd, const std::string& text, int flags = 0) {
  ASSERT_EQ(::send(fd, text.data(), text.size(), flags | MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// Its first wait makes `driver` watch it.
Pair WatchedTcpPair(Driver& driver) {
  Pair pair = TcpPair();
  char buffer;
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  EXPECT_FALSE(driver.Start(op));
  driver.RequestCancel(op);
  PollUntilDone(driver, op);
  return pair;
}

TEST_F(EpollDriverTest, AReceiveBehindAShortOneMakesNoCallUntilThereIsAnEdge) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = WatchedTcpPair(*driver);
  SendAll(pair.b.get(), "first");
  EXPECT_EQ(ReceiveSome(*driver, pair.a.get()), "first");
  const ScopedSyscallFault counter(&Syscalls::recv, {.times = 0});
  for (int round = 1; round <= 10; ++round) {
    char buffer[16];
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    ASSERT_FALSE(driver->Start(op));
    SendAll(pair.b.get(), "next");
    PollUntilDone(*driver, op);
    EXPECT_EQ(op.result, 4);
    // The edge of what the first receive took may still be to be fetched.
    EXPECT_LE(counter.calls(), round + 1);
  }
  backend_->Forget(pair.a.get());
}

TEST_F(EpollDriverTest, AReceiveBehindAFullOneMakesItsCall) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = WatchedTcpPair(*driver);
  SendAll(pair.b.get(), "xy");
  for (const char expected : {'x', 'y'}) {
    char got = 0;
    CountedOperation op;
    op.SetReceive(pair.a.get(), &got, 1);
    EXPECT_EQ(Finish(*driver, op), 1);
    EXPECT_EQ(got, expected);
  }
  backend_->Forget(pair.a.get());
}

// The peer goes before the bytes are received, before the next receive, or while that waits; by an end or a reset.
TEST_F(EpollDriverTest, TheEndBehindAShortReceiveIsSeen) {
  for (const bool reset : {false, true}) {
    for (const bool polls_first : {false, true}) {
      for (const int when : {0, 1, 2}) {
        SCOPED_TRACE(testing::Message() << "reset " << reset << " polls first " << polls_first << " when " << when);
        const std::unique_ptr<Driver> driver = NewDriver();
        Pair pair = WatchedTcpPair(*driver);
        const auto go = [&] {
          const linger hard = {.l_onoff = reset, .l_linger = 0};
          ASSERT_EQ(::setsockopt(pair.b.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
          pair.b.Close();
        };
        SendAll(pair.b.get(), "bytes");
        if (when == 0) go();
        if (polls_first) driver->Poll(0);  // the edge of all that is counted before the receive
        EXPECT_EQ(ReceiveSome(*driver, pair.a.get()), "bytes");
        if (when == 1) go();
        char buffer[16];
        CountedOperation op;
        op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
        if (!driver->Start(op)) {
          if (when == 2) go();
          PollUntilDone(*driver, op);
        }
        EXPECT_EQ(op.result, reset ? -ECONNRESET : 0);
        backend_->Forget(pair.a.get());
      }
    }
  }
}

// A receive stops before an urgent byte, though there are more behind it.
TEST_F(EpollDriverTest, WhatIsBehindAnUrgentByteIsReceived) {
  for (const bool polls_first : {false, true}) {
    for (const size_t before : {size_t{0}, size_t{2}}) {
      const std::unique_ptr<Driver> driver = NewDriver();
      const Pair pair = WatchedTcpPair(*driver);
      SendAll(pair.b.get(), std::string(before, 'a'));
      SendAll(pair.b.get(), "!", MSG_OOB);
      SendAll(pair.b.get(), "behind");
      if (polls_first) driver->Poll(0);
      std::string got;
      while (got.size() < before + 6) got += ReceiveSome(*driver, pair.a.get());
      EXPECT_EQ(got, std::string(before, 'a') + "behind");
      backend_->Forget(pair.a.get());
    }
  }
}

// A receive of a Unix socket stops behind bytes that descriptors came with.
TEST_F(EpollDriverTest, AShortReceiveOfAUnixSocketProvesNothing) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = UnixPair();
  SendAll(pair.b.get(), "x");
  EXPECT_EQ(ReceiveSome(*driver, pair.a.get()), "x");
  char byte = 'a';
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  *CMSG_FIRSTHDR(&message) = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  const int fd = STDERR_FILENO;
  std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
  ASSERT_EQ(::sendmsg(pair.b.get(), &message, 0), 1);
  SendAll(pair.b.get(), "behind");
  driver->Poll(0);
  EXPECT_EQ(ReceiveSome(*driver, pair.a.get()), "a");
  EXPECT_EQ(ReceiveSome(*driver, pair.a.get()), "behind");
  backend_->Forget(pair.a.get());
}

// A number that is given out again is not the socket that was emptied.
TEST_F(EpollDriverTest, ANewSocketOfTheSameNumberIsNotTakenForEmpty) {
  const std::unique_ptr<Driver> driver = NewDriver();
  int number = -1;
  {
    const Pair pair = WatchedTcpPair(*driver);
    number = pair.a.get();
    SendAll(pair.b.get(), "old");
    EXPECT_EQ(ReceiveSome(*driver, number), "old");
    backend_->Forget(number);
  }
  Pair pair = TcpPair();
  Fd same(::fcntl(pair.a.get(), F_DUPFD_CLOEXEC, number));
  ASSERT_GE(same.get(), number);
  SendAll(pair.b.get(), "new");
  EXPECT_EQ(ReceiveSome(*driver, same.get()), "new");
  backend_->Forget(same.get());
}

// ---- Answers of the kernel -----------------------------------------------------------------------------------------

// Old kernels have none, and containers forbid it, each with an errno of its own.
TEST_F(EpollDriverTest, WithoutEpollPwait2TimesAreRoundedUpToMilliseconds) {
  for (const int error : {ENOSYS, EPERM, EACCES, EINVAL, EIO}) {
    backend_ = *EpollBackend::Create();
    const ScopedSyscallFault fault(&Syscalls::epoll_pwait2, {.times = ScopedSyscallFault::kForever, .error = error});
    const std::unique_ptr<Driver> driver = NewDriver();
    for (int i = 0; i < 3; ++i) {
      const auto start = steady_clock::now();
      EXPECT_EQ(driver->Poll(kMillisecondNs + 1), 0);
      EXPECT_GE(steady_clock::now() - start, std::chrono::nanoseconds(kMillisecondNs + 1));
    }
    EXPECT_EQ(fault.calls(), 1) << "asked once, remembered";
  }
}

// Whatever errno was before.
TEST_F(EpollDriverTest, AWaitWhoseTimeIsUpHasNotFailed) {
  const ScopedSyscallFault counter(&Syscalls::epoll_pwait2, {.times = 0});
  const std::unique_ptr<Driver> driver = NewDriver();
  for (int waits = 1; waits <= 3; ++waits) {
    errno = ENOSYS;
    EXPECT_EQ(driver->Poll(kMillisecondNs), 0);
    EXPECT_GE(counter.calls(), waits) << "it asks the same call again";
  }
}

TEST_F(EpollDriverTest, AnInterruptedWaitGoesOn) {
  const ScopedSyscallFault fault(&Syscalls::epoll_pwait2, {.times = 5, .error = EINTR});
  const std::unique_ptr<Driver> driver = NewDriver();
  const auto start = steady_clock::now();
  EXPECT_EQ(driver->Poll(3 * kMillisecondNs), 0);
  EXPECT_GE(steady_clock::now() - start, milliseconds(3));
  EXPECT_GT(fault.calls(), 5);
}

TEST_F(EpollDriverTest, ARegistrationThatFailsIsTheOperationsResult) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = UnixPair();
  char buffer;
  for (const int error : {ENOSPC, ENOMEM}) {
    const ScopedSyscallFault fault(&Syscalls::epoll_ctl, {.error = error});
    CountedOperation op;
    op.SetReceive(pair.a.get(), &buffer, 1);
    EXPECT_TRUE(driver->Start(op));
    EXPECT_EQ(op.result, -error);
  }
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  EXPECT_FALSE(driver->Start(op));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  PollUntilDone(*driver, op);
  EXPECT_EQ(op.result, 1);
}

TEST_F(EpollDriverTest, ADescriptorThatTheKernelStillHasIsRegisteredAgain) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = UnixPair();
  char buffer;
  CountedOperation first;
  first.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(driver->Start(first));
  driver->RequestCancel(first);
  PollUntilDone(*driver, first);
  {
    const ScopedSyscallFault fault(&Syscalls::epoll_ctl, {.error = ENOENT});
    backend_->Forget(pair.a.get());
  }
  CountedOperation second;
  second.SetReceive(pair.a.get(), &buffer, 1);
  ASSERT_FALSE(driver->Start(second));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  PollUntilDone(*driver, second);
  EXPECT_EQ(second.result, 1);
}

TEST_F(EpollDriverTest, AnErrorOfAnAcceptIsItsResult) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Listener listener = Listen();
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPROTO}) {
    const ScopedSyscallFault fault(&Syscalls::accept4, {.error = error});
    CountedOperation op;
    op.SetAccept(listener.fd.get());
    EXPECT_TRUE(driver->Start(op));
    EXPECT_EQ(op.result, -error);
  }
}

TEST_F(EpollDriverTest, InterruptedCallsAreMadeAgain) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const Pair pair = UnixPair();
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  const ScopedSyscallFault fault(&Syscalls::recv, {.times = 3, .error = EINTR});
  char buffer;
  CountedOperation op;
  op.SetReceive(pair.a.get(), &buffer, 1);
  EXPECT_TRUE(driver->Start(op));
  EXPECT_EQ(op.result, 1);
  EXPECT_EQ(fault.calls(), 4);
}

TEST_F(EpollDriverTest, ADescriptorThatCannotBeWaitedForIsAnError) {
  const std::unique_ptr<Driver> driver = NewDriver();
  const ScopedSyscallFault fault(&Syscalls::recv, {.error = EAGAIN});
  char buffer;
  CountedOperation op;
  op.SetReceive(-1, &buffer, 1);
  EXPECT_TRUE(driver->Start(op));
  EXPECT_LT(op.result, 0);
}

// ---- The table -----------------------------------------------------------------------------------------------------

TEST(DescriptorTableTest, ARecordKeepsItsAddressAndNumbersOutOfRangeHaveNone) {
  const auto table = std::make_unique<DescriptorTable>();
  EXPECT_EQ(table->Find(5), nullptr);
  Descriptor* const five = table->Get(5);
  ASSERT_NE(five, nullptr);
  EXPECT_EQ(table->Get(5), five);
  EXPECT_EQ(table->Find(5), five);
  EXPECT_NE(table->Get(6), five);
  EXPECT_NE(table->Get(500'000), nullptr);
  EXPECT_EQ(table->Get(5), five);
  for (const int fd : {-1, static_cast<int>(DescriptorTable::kMaxDescriptors), 1 << 30}) {
    EXPECT_EQ(table->Get(fd), nullptr);
    EXPECT_EQ(table->Find(fd), nullptr);
  }
}

TEST(DescriptorTableTest, ThreadsThatAskForTheSameNewRecordGetTheSame) {
  for (int round = 0; round < 50; ++round) {
    const auto table = std::make_unique<DescriptorTable>();
    Descriptor* found[2] = {};
    std::thread other([&] { found[1] = table->Get(77); });
    found[0] = table->Get(77);
    other.join();
    EXPECT_NE(found[0], nullptr);
    EXPECT_EQ(found[0], found[1]);
  }
}

}  // namespace
}  // namespace weft::internal
