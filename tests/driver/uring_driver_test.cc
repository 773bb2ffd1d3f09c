// Goal: what only io_uring can do wrong: full queues, a poll that the kernel ends, cancellations that nobody asked for,
// and an io_uring_enter that fails.
// Method: rings of a few entries, the real kernel, and its registration call for cancelling everything from outside.
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/driver/driver.h"
#include "lib/driver/uring/uring_backend.h"
#include "lib/testing/syscall_fault.h"
#include "tests/driver/driver_fixture.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int64_t kMillisecondNs = 1'000'000;

class UringDriverTest : public testing::Test {
 protected:
  void Make(UringBackend::Options options) {
    backend_ = *UringBackend::Create(options);
    driver_ = *backend_->NewDriver();
  }

  // Rings from another thread until Poll() returns: if the doorbell is deaf this never ends.
  void ExpectThatTheDoorbellWorks() {
    for (int i = 0; i < 20; ++i) {
      std::thread ringer([&] { driver_->Ring(); });
      driver_->Poll(Driver::kNoTimeout);
      ringer.join();
    }
  }

  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Driver> driver_;
};

// Receives on pairs, more than the queues hold.
struct Crowd {
  explicit Crowd(int count) : pairs(count), ops(count), buffers(count) {
    for (Pair& pair : pairs) pair = UnixPair();
  }
  void Start(Driver& driver) {
    for (size_t i = 0; i < ops.size(); ++i) {
      ops[i].Reset();
      ops[i].SetReceive(pairs[i].a.get(), &buffers[i], 1);
      ASSERT_FALSE(driver.Start(ops[i]));
    }
  }
  void Send() {
    for (Pair& pair : pairs) ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  }
  void ExpectAllReceived(Driver& driver) {
    for (CountedOperation& op : ops) {
      PollUntilDone(driver, op);
      EXPECT_EQ(op.ends, 1);
      EXPECT_EQ(op.result, 1);
    }
    EXPECT_EQ(driver.in_flight(), 0);
  }
  std::vector<Pair> pairs;
  std::vector<CountedOperation> ops;
  std::vector<char> buffers;
};

TEST_F(UringDriverTest, MoreOperationsThanTheQueuesHoldAreNoConcernOfTheCaller) {
  Make({.submission_entries = 2, .completion_entries = 4});
  Crowd crowd(100);
  for (int round = 0; round < 5; ++round) {
    crowd.Start(*driver_);
    EXPECT_EQ(driver_->in_flight(), 100);
    driver_->Poll(0);
    crowd.Send();
    crowd.ExpectAllReceived(*driver_);
  }
}

TEST_F(UringDriverTest, CompletionsThatOverflowedTheQueueAreSeenWithoutWaitingToo) {
  Make({.submission_entries = 64, .completion_entries = 64});
  Crowd crowd(300);
  crowd.Start(*driver_);
  driver_->Poll(0);
  crowd.Send();
  int delivered = 0;
  for (int looks = 0; delivered < 300; ++looks) {
    ASSERT_LT(looks, 100'000);
    delivered += driver_->Poll(0);
  }
  crowd.ExpectAllReceived(*driver_);
}

TEST_F(UringDriverTest, ADoorbellWhosePollWasEndedByAFullCompletionQueueIsArmedAgain) {
  Make({.submission_entries = 4, .completion_entries = 4});
  Crowd crowd(64);
  for (int round = 0; round < 20; ++round) {
    crowd.Start(*driver_);
    // Armed, and rung while the completions of all others overflow the queue.
    EXPECT_EQ(driver_->Poll(kMillisecondNs / 10), 0);
    std::thread ringer([&] {
      crowd.Send();
      for (int i = 0; i < 10; ++i) driver_->Ring();
    });
    for (CountedOperation& op : crowd.ops) {
      while (!op.done()) driver_->Poll(Driver::kNoTimeout);
    }
    ringer.join();
    ExpectThatTheDoorbellWorks();
  }
}

TEST_F(UringDriverTest, CancellationsOfOperationsThatWaitForAnEntryEndThem) {
  Make({.submission_entries = 2, .completion_entries = 4});
  Crowd crowd(20);
  {
    // Nothing can be submitted: what does not fit into the queue waits.
    const ScopedSyscallFault fault(&Syscalls::io_uring_enter, {.times = ScopedSyscallFault::kForever, .error = EAGAIN});
    crowd.Start(*driver_);
    for (size_t i = 10; i < 20; ++i) driver_->RequestCancel(crowd.ops[i]);
    driver_->Poll(0);
    for (size_t i = 10; i < 20; ++i) {
      EXPECT_EQ(crowd.ops[i].ends, 1);
      EXPECT_EQ(crowd.ops[i].result, -ECANCELED);
      EXPECT_TRUE(crowd.ops[i].cancelled);
    }
    // One that is in the queue itself: its cancellation waits for an entry.
    driver_->RequestCancel(crowd.ops[0]);
    driver_->Poll(0);
    EXPECT_FALSE(crowd.ops[0].done());
  }
  PollUntilDone(*driver_, crowd.ops[0]);
  EXPECT_TRUE(crowd.ops[0].cancelled);
  crowd.Send();
  for (size_t i = 1; i < 10; ++i) {
    PollUntilDone(*driver_, crowd.ops[i]);
    EXPECT_EQ(crowd.ops[i].result, 1);
  }
}

// The owner sleeps in the same poll in which the kernel has memory again: not before the cancellation is placed.
TEST_F(UringDriverTest, ACancellationThatWaitsForAnEntryIsPlacedBeforeASleep) {
  for (const int shortages : {1, 3, 20}) {
    Make({.submission_entries = 2, .completion_entries = 4});
    Crowd crowd(3);
    crowd.ops[0].SetReceive(crowd.pairs[0].a.get(), &crowd.buffers[0], 1);
    ASSERT_FALSE(driver_->Start(crowd.ops[0]));
    driver_->Poll(0);
    {
      const ScopedSyscallFault fault(&Syscalls::io_uring_enter, {.times = shortages, .error = EAGAIN});
      for (int i = 1; i < 3; ++i) {
        crowd.ops[i].SetReceive(crowd.pairs[i].a.get(), &crowd.buffers[i], 1);
        ASSERT_FALSE(driver_->Start(crowd.ops[i]));
      }
      driver_->RequestCancel(crowd.ops[0]);
      while (!crowd.ops[0].done()) driver_->Poll(Driver::kNoTimeout);
    }
    EXPECT_TRUE(crowd.ops[0].cancelled);
    crowd.Send();
    for (int i = 1; i < 3; ++i) PollUntilDone(*driver_, crowd.ops[i]);
    driver_ = nullptr;
  }
}

TEST_F(UringDriverTest, AnOperationThatEndsWhileItsCancellationWaitsForAnEntryKeepsItsResult) {
  Make({.submission_entries = 2, .completion_entries = 4});
  Crowd crowd(4);
  for (int i = 0; i < 2; ++i) {
    crowd.ops[i].SetReceive(crowd.pairs[i].a.get(), &crowd.buffers[i], 1);
    ASSERT_FALSE(driver_->Start(crowd.ops[i]));
  }
  driver_->Poll(0);
  {
    const ScopedSyscallFault fault(&Syscalls::io_uring_enter, {.times = ScopedSyscallFault::kForever, .error = EBUSY});
    // Fills the submission queue, so that no entry is left for the cancellation.
    for (int i = 2; i < 4; ++i) {
      crowd.ops[i].SetReceive(crowd.pairs[i].a.get(), &crowd.buffers[i], 1);
      ASSERT_FALSE(driver_->Start(crowd.ops[i]));
    }
    driver_->RequestCancel(crowd.ops[0]);
    driver_->Poll(0);
    ASSERT_EQ(::send(crowd.pairs[0].b.get(), "x", 1, 0), 1);
    while (!crowd.ops[0].done()) driver_->Poll(0);
    EXPECT_EQ(crowd.ops[0].result, 1);
    EXPECT_FALSE(crowd.ops[0].cancelled);
  }
  for (int i = 1; i < 4; ++i) {
    ASSERT_EQ(::send(crowd.pairs[i].b.get(), "x", 1, 0), 1);
    PollUntilDone(*driver_, crowd.ops[i]);
    EXPECT_EQ(crowd.ops[i].ends, 1);
    EXPECT_EQ(crowd.ops[i].result, 1);
  }
}

TEST_F(UringDriverTest, AnIoUringEnterThatFailsForAWhileDelaysAndLosesNothing) {
  for (const int error : {EINTR, EAGAIN, EBUSY, ENOMEM}) {
    Make({.submission_entries = 4, .completion_entries = 16});
    Crowd crowd(12);
    const ScopedSyscallFault fault(&Syscalls::io_uring_enter, {.first = 2, .times = 20, .error = error});
    crowd.Start(*driver_);
    const auto start = steady_clock::now();
    EXPECT_EQ(driver_->Poll(3 * kMillisecondNs), 0);
    EXPECT_GE(steady_clock::now() - start, milliseconds(3)) << "a failure is not an end";
    crowd.Send();
    crowd.ExpectAllReceived(*driver_);
    EXPECT_GT(fault.calls(), 21);
    driver_ = nullptr;
  }
}

TEST_F(UringDriverTest, WhatTheKernelHadNoMemoryForIsSubmittedWithinTheSamePoll) {
  Make({.submission_entries = 2, .completion_entries = 4});
  Crowd crowd(12);
  ASSERT_EQ(::send(crowd.pairs[11].b.get(), "x", 1, 0), 1);
  {
    const ScopedSyscallFault fault(&Syscalls::io_uring_enter, {.times = 20, .error = EAGAIN});
    crowd.Start(*driver_);
    EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 1);
    EXPECT_GT(fault.calls(), 20);
  }
  EXPECT_EQ(crowd.ops[11].ends, 1);
  for (int i = 0; i < 11; ++i) ASSERT_EQ(::send(crowd.pairs[i].b.get(), "x", 1, 0), 1);
  crowd.ExpectAllReceived(*driver_);
}

// The descriptors of this process's rings.
std::vector<int> RingDescriptors() {
  std::vector<int> rings;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(directory)) {
    char target[64] = {};
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    if (::readlink(path.c_str(), target, sizeof(target) - 1) > 0 && std::strstr(target, "[io_uring]") != nullptr) {
      rings.push_back(std::atoi(entry->d_name));
    }
  }
  ::closedir(directory);
  return rings;
}

// Cancels all that is in the ring, behind the driver's back; returns once it has.
void CancelEverything(int ring) {
  struct {
    uint64_t address = 0;
    int32_t fd = -1;
    uint32_t flags = (1U << 0) | (1U << 2);  // IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY
    int64_t timeout[2] = {-1, -1};
    uint64_t pad[4] = {};
  } request;
  constexpr unsigned kRegisterSyncCancel = 24;
  ::syscall(SYS_io_uring_register, ring, kRegisterSyncCancel, &request, 1);
}

TEST_F(UringDriverTest, ACancellationThatNobodyAskedForIsStartedAgain) {
  Make({});
  const std::vector<int> rings = RingDescriptors();
  ASSERT_EQ(rings.size(), 1U);
  Crowd crowd(8);
  crowd.Start(*driver_);
  EXPECT_EQ(driver_->Poll(kMillisecondNs), 0);
  for (int i = 0; i < 3; ++i) {
    CancelEverything(rings[0]);
    EXPECT_EQ(driver_->Poll(kMillisecondNs), 0);
    EXPECT_EQ(driver_->in_flight(), 8);
  }
  ExpectThatTheDoorbellWorks();
  driver_->RequestCancel(crowd.ops[0]);
  PollUntilDone(*driver_, crowd.ops[0]);
  EXPECT_TRUE(crowd.ops[0].cancelled);
  crowd.Send();
  for (int i = 1; i < 8; ++i) {
    PollUntilDone(*driver_, crowd.ops[i]);
    EXPECT_EQ(crowd.ops[i].result, 1);
  }
}

TEST_F(UringDriverTest, AConnectThatTheKernelGaveUpOnUnaskedIsFollowedToItsEnd) {
  Make({});
  const std::vector<int> rings = RingDescriptors();
  ASSERT_EQ(rings.size(), 1U);
  // With its queue full the listener answers no SYN until somebody is accepted.
  const Listener listener = Listen(0);
  const Fd first(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ::connect(first.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in));
  tcp_info info = {};
  while (info.tcpi_unacked <= info.tcpi_sacked) {  // of a listener: how many are in the queue, and may be
    socklen_t size = sizeof(info);
    ASSERT_EQ(::getsockopt(listener.fd.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  }
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CountedOperation connect;
  connect.SetConnect(client.get(), listener.address);
  ASSERT_FALSE(driver_->Start(connect));
  const Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CountedOperation cancelled;
  cancelled.SetConnect(other.get(), listener.address);
  ASSERT_FALSE(driver_->Start(cancelled));
  EXPECT_EQ(driver_->Poll(0), 0);
  for (int i = 0; i < 2; ++i) {
    CancelEverything(rings[0]);
    EXPECT_EQ(driver_->Poll(0), 0);
  }
  driver_->RequestCancel(cancelled);
  PollUntilDone(*driver_, cancelled);
  EXPECT_TRUE(cancelled.cancelled);
  // Room in the queue: the client's next SYN, about a second after its first, is answered.
  while (!connect.done()) {
    const Fd accepted(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    driver_->Poll(10 * kMillisecondNs);
  }
  EXPECT_EQ(connect.result, 0);
  EXPECT_EQ(::send(client.get(), "x", 1, MSG_NOSIGNAL), 1);
}

TEST_F(UringDriverTest, OperationsSubmittedByAThreadThatExitsGoOn) {
  Make({});
  Crowd crowd(4);
  crowd.Start(*driver_);
  std::thread helper([&] { driver_->Relieve(); });  // the kernel cancels what an exiting thread has submitted
  helper.join();
  EXPECT_EQ(driver_->Poll(kMillisecondNs), 0);
  crowd.Send();
  crowd.ExpectAllReceived(*driver_);
}

// What a sender did before its send happened before what the receiver does after its receive: the kernel orders it, and
// ThreadSanitizer is told so.
TEST_F(UringDriverTest, ASendHappensBeforeTheReceiveOfItsBytes) {
  Make({});
  const Pair pair = UnixPair();
  int plain = 0;
  std::thread sender([&] {
    const std::unique_ptr<Driver> own = *backend_->NewDriver();
    for (int i = 1; i <= 100; ++i) {
      plain = i;
      CountedOperation send;
      send.SetSend(pair.b.get(), "x", 1);
      ASSERT_EQ(Finish(*own, send), 1);
      char answer;
      CountedOperation receive;
      receive.SetReceive(pair.b.get(), &answer, 1);
      ASSERT_EQ(Finish(*own, receive), 1);
    }
  });
  for (int i = 1; i <= 100; ++i) {
    char byte;
    CountedOperation receive;
    receive.SetReceive(pair.a.get(), &byte, 1);
    ASSERT_EQ(Finish(*driver_, receive), 1);
    EXPECT_EQ(plain, i);
    CountedOperation send;
    send.SetSend(pair.a.get(), "y", 1);
    ASSERT_EQ(Finish(*driver_, send), 1);
  }
  sender.join();
}

// A runtime may be stopped by one OS thread while another starts the next: the kernel gives the new ring the addresses
// of the old one, and only ThreadSanitizer, which sees no unmapping by liburing, could take that for a race.
TEST(UringMemoryTest, ARingMayLieWhereThatOfAnotherThreadLay) {
  constexpr int kRings = 10;
  std::atomic<int> turns{0};
  const auto make_every_second = [&](int first) {
    for (int turn = first; turn < kRings; turn += 2) {
      while (turns.load(std::memory_order_relaxed) != turn) std::this_thread::yield();  // relaxed: orders nothing
      {
        const std::shared_ptr<Backend> backend = *UringBackend::Create({});
        const std::unique_ptr<Driver> driver = *backend->NewDriver();
        driver->Ring();
        driver->Poll(Driver::kNoTimeout);
      }
      turns.store(turn + 1, std::memory_order_relaxed);
    }
  };
  std::thread other(make_every_second, 1);
  make_every_second(0);
  other.join();
  EXPECT_EQ(turns.load(), kRings);
}

}  // namespace
}  // namespace weft::internal
