// Goal: an operation ends exactly once, with nothing lost, however completion, cancellation, relief and doorbells meet.
// Method: the operations of one round are started by their owner, while other threads write to their sockets and cancel
// them in an order drawn from a fixed seed. At the end of a round the books must balance. Operations of the next round
// use the same addresses, so that a late cancellation of the last round would hit one of them.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/fence.h"
#include "lib/driver/driver.h"
#include "tests/driver/driver_fixture.h"

namespace weft::internal {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;
constexpr int kPatienceMillis = 60'000;  // for what the kernel has begun

INSTANTIATE_TEST_SUITE_P(Backends, DriverTest, testing::Values(IoBackend::kUring, IoBackend::kEpoll), BackendName);

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  uint32_t operator()(uint32_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32) % bound;
  }

 private:
  uint64_t state_;
};

// A driver with its own thread's sockets and operations.
struct Party {
  static constexpr int kSockets = 32;

  Party() {
    for (Pair& pair : pairs) pair = UnixPair();
  }

  void StartRound(Driver& on) {
    for (int i = 0; i < kSockets; ++i) {
      ops[i].Reset();
      ops[i].SetReceive(pairs[i].a.get(), &buffers[i], 1);
      ASSERT_FALSE(on.Start(ops[i]));
    }
    driver = &on;
  }

  bool AllEnded() const {
    for (const CountedOperation& op : ops) {
      if (!op.done()) return false;
    }
    return true;
  }

  // From any thread: at each operation once.
  void Attack(Random& random) {
    const uint32_t first = random(kSockets);
    for (int k = 0; k < kSockets; ++k) {
      const uint32_t i = (first + static_cast<uint32_t>(k) * 7) % kSockets;
      const uint32_t what = random(4);
      asked[i] = what != kWriteOnly;
      if (what == kWriteThenCancel || what == kWriteOnly) Write(i);
      if (what != kWriteOnly) driver->RequestCancel(ops[i]);
      if (what == kCancelThenWrite) Write(i);
      if (random(8) == 0) std::this_thread::yield();
    }
  }

  void Write(uint32_t i) {
    ASSERT_EQ(::send(pairs[i].b.get(), "x", 1, 0), 1);
    ++written;
  }

  // After the round, when nobody attacks.
  void Settle() {
    for (int i = 0; i < kSockets; ++i) {
      ASSERT_EQ(ops[i].ends, 1);
      if (ops[i].cancelled) {
        ASSERT_EQ(ops[i].result, -ECANCELED);
        ASSERT_TRUE(asked[i]) << "nobody cancelled this operation";
        ++cancelled;
      } else {
        ASSERT_EQ(ops[i].result, 1);
        ++received;
      }
      char left;
      while (::recv(pairs[i].a.get(), &left, 1, 0) == 1) ++remained;
    }
    ASSERT_EQ(received + remained, written) << "bytes were lost, or made up";
  }

  enum : uint32_t { kCancelOnly, kWriteThenCancel, kCancelThenWrite, kWriteOnly };

  Driver* driver = nullptr;
  Pair pairs[kSockets];
  CountedOperation ops[kSockets];
  char buffers[kSockets] = {};
  bool asked[kSockets] = {};
  int64_t written = 0;
  int64_t received = 0;
  int64_t remained = 0;
  int64_t cancelled = 0;
};

TEST_P(DriverTest, EightThousandReceivesRacedByACancellerLoseNothing) {
  constexpr int kRounds = 250;
  Party party;
  Atomic<int> started{0};
  Atomic<int> attacked{0};
  std::thread attacker([&] {
    Random random(1);
    for (int round = 1; round <= kRounds; ++round) {
      while (started.load(std::memory_order_acquire) < round) std::this_thread::yield();
      party.Attack(random);
      attacked.store(round, std::memory_order_release);
      driver_->Ring();
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    party.StartRound(*driver_);
    started.store(round, std::memory_order_release);
    while (!party.AllEnded() || attacked.load(std::memory_order_acquire) < round) driver_->Poll(Driver::kNoTimeout);
    party.Settle();
  }
  attacker.join();
  EXPECT_EQ(party.received + party.cancelled, int64_t{kRounds} * Party::kSockets);
  EXPECT_GT(party.received, 0);
  EXPECT_GT(party.cancelled, 0);
}

TEST_P(DriverTest, TwoDriversThatCancelEachOthersReceivesWhileAThirdThreadRelievesThem) {
  constexpr int kRounds = 120;
  Party parties[2];
  Atomic<int> started[2] = {};
  Atomic<int> attacked[2] = {};
  Atomic<int> over{0};
  Atomic<Driver*> drivers[2] = {};
  const auto play = [&](int self) {
    const std::unique_ptr<Driver> own = NewDriver();
    drivers[self].store(own.get(), std::memory_order_release);
    while (drivers[1 - self].load(std::memory_order_acquire) == nullptr) std::this_thread::yield();
    Random random(10 + self);
    for (int round = 1; round <= kRounds; ++round) {
      parties[self].StartRound(*own);
      started[self].store(round, std::memory_order_release);
      while (started[1 - self].load(std::memory_order_acquire) < round) own->Poll(0);
      parties[1 - self].Attack(random);
      attacked[1 - self].store(round, std::memory_order_release);
      drivers[1 - self].load(std::memory_order_relaxed)->Ring();
      while (!parties[self].AllEnded() || attacked[self].load(std::memory_order_acquire) < round) {
        // The other threads deliver too, and do not ring then: the wait has a limit.
        own->Poll(kMillisecondNs / 4);
      }
      parties[self].Settle();
    }
    over.fetch_add(1, std::memory_order_release);
    while (over.load(std::memory_order_acquire) < 3) own->Poll(0);
  };
  std::thread first(play, 0);
  std::thread second(play, 1);
  for (Atomic<Driver*>& driver : drivers) {
    while (driver.load(std::memory_order_acquire) == nullptr) std::this_thread::yield();
  }
  while (over.load(std::memory_order_acquire) < 2) {
    for (Atomic<Driver*>& driver : drivers) driver.load(std::memory_order_relaxed)->Relieve();
    std::this_thread::yield();
  }
  over.fetch_add(1, std::memory_order_release);
  first.join();
  second.join();
  for (const Party& party : parties) {
    EXPECT_EQ(party.received + party.cancelled, int64_t{kRounds} * Party::kSockets);
  }
}

TEST_P(DriverTest, AnAcceptRacedByACancellerLosesNoConnectionAndLeaksNoDescriptor) {
  constexpr int kRounds = 400;
  const Listener listener = Listen();
  CountedOperation op;
  Atomic<int> started{0};
  Atomic<int> attacked{0};
  std::thread attacker([&] {
    Random random(3);
    for (int round = 1; round <= kRounds; ++round) {
      while (started.load(std::memory_order_acquire) < round) std::this_thread::yield();
      const bool cancel_first = random(2) == 0;
      if (cancel_first) driver_->RequestCancel(op);
      {
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)),
                  0);
      }
      if (!cancel_first) driver_->RequestCancel(op);
      attacked.store(round, std::memory_order_release);
      driver_->Ring();
    }
  });
  int accepted = 0;
  int cancelled = 0;
  for (int round = 1; round <= kRounds; ++round) {
    op.Reset();
    op.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(op));
    started.store(round, std::memory_order_release);
    while (!op.done() || attacked.load(std::memory_order_acquire) < round) driver_->Poll(Driver::kNoTimeout);
    ASSERT_EQ(op.ends, 1);
    if (op.cancelled) {
      ++cancelled;
      // The kernel may still be about to queue what connect() has made.
      pollfd comes = {.fd = listener.fd.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&comes, 1, kPatienceMillis), 1) << "the connection was taken from the queue, and not delivered";
      const Fd left(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
      ASSERT_GE(left.get(), 0);
    } else {
      ASSERT_GE(op.result, 0);
      ++accepted;
      ::close(op.result);
    }
    ASSERT_EQ(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC), -1);
  }
  attacker.join();
  EXPECT_EQ(accepted + cancelled, kRounds);
}

void Connect(const Fd& client, const Listener& listener) {
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
}

// The owner is in no call meanwhile: there it would look for what the kernel has for it.
void SpinUntil(const Atomic<int>& word, int wanted) {
  while (word.load(std::memory_order_acquire) != wanted) CpuRelax();
}

// begin() begins the operation; rob() brings what it waits for and takes it away, 400 times, while it waits.
template <class Begin, class Rob>
void BeRobbed(Driver& driver, const CountedOperation& op, const Begin& begin, const Rob& rob) {
  constexpr int kTaken = 400;
  begin();
  driver.Poll(0);
  Atomic<int> step{0};
  std::thread thief([&] {
    for (int i = 0; i < kTaken; ++i) {
      SpinUntil(step, 2 * i + 1);
      rob();
      step.store(2 * i + 2, std::memory_order_release);
    }
  });
  for (int i = 0; i < kTaken; ++i) {
    step.store(2 * i + 1, std::memory_order_release);
    SpinUntil(step, 2 * i + 2);
    driver.Poll(0);
    if (!op.done()) continue;
    // It was faster.
    EXPECT_GE(op.result, 0) << "it was ended, although nothing is wrong with the socket";
    begin();
    driver.Poll(0);
  }
  thief.join();
}

TEST_P(DriverTest, AnAcceptGoesOnHoweverOftenOthersTakeTheConnection) {
  const Listener listener = Listen();
  CountedOperation op;
  const auto begin = [&] {
    if (op.done()) ::close(op.result);
    op.Reset();
    op.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(op));
  };
  BeRobbed(*driver_, op, begin, [&] {
    const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Connect(client, listener);
    const Fd taken(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  });
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Connect(client, listener);
  PollUntilDone(*driver_, op);
  ASSERT_GE(op.result, 0) << "it was ended, although nothing is wrong with the listener";
  ::close(op.result);
}

TEST_P(DriverTest, AReceiveGoesOnHoweverOftenOthersTakeTheBytes) {
  const Pair pair = TcpPair();
  char byte;
  CountedOperation op;
  const auto begin = [&] {
    op.Reset();
    op.SetReceive(pair.a.get(), &byte, 1);
    ASSERT_FALSE(driver_->Start(op));
  };
  BeRobbed(*driver_, op, begin, [&] {
    ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
    char taken;
    ::recv(pair.a.get(), &taken, 1, MSG_DONTWAIT);
  });
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, 1);
}

// The process can open some more descriptors, until it has them all.
class DescriptorTable {
 public:
  DescriptorTable() {
    constexpr int kSome = 16;
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    Fd lowest_free(::dup(STDERR_FILENO));
    const rlimit tight = {.rlim_cur = static_cast<rlim_t>(lowest_free.get() + kSome), .rlim_max = before_.rlim_max};
    lowest_free.Close();
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  }
  DescriptorTable(const DescriptorTable&) = delete;
  DescriptorTable& operator=(const DescriptorTable&) = delete;
  ~DescriptorTable() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

  void Fill() {
    for (int fd = 0; (fd = ::dup(STDERR_FILENO)) >= 0;) taken_.emplace_back(fd);
    EXPECT_EQ(errno, EMFILE);
  }
  void Free() { taken_.clear(); }

 private:
  rlimit before_;
  std::vector<Fd> taken_;
};

// An accept that ends knows of the shortage, or has the connection.
void ExpectThatItKnows(const CountedOperation& accept) {
  EXPECT_TRUE(accept.result == -EMFILE || accept.result >= 0) << accept.result;
  if (accept.result >= 0) ::close(accept.result);
}

TEST_P(DriverTest, AConnectionThatOneAcceptFindsNoDescriptorForIsKnownToAnother) {
  const Listener listener = Listen();
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  DescriptorTable table;  // first: io_uring may look at the limit when an operation begins
  CountedOperation accepts[2];
  for (CountedOperation& accept : accepts) {
    accept.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(accept));
  }
  driver_->Poll(0);
  table.Fill();
  Connect(client, listener);
  while (!accepts[0].done() && !accepts[1].done()) driver_->Poll(Driver::kNoTimeout);
  table.Free();
  for (CountedOperation& accept : accepts) {
    PollUntilDone(*driver_, accept);
    ExpectThatItKnows(accept);
  }
}

// Same, if the one is cancelled before it comes to say so.
TEST_P(DriverTest, AConnectionThatACancelledAcceptFindsNoDescriptorForIsKnownToAnother) {
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const Listener listener = Listen();
    const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    DescriptorTable table;
    CountedOperation first, second;
    first.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(first));
    driver_->Poll(0);
    enum Step { kBegin, kBothWait, kConnects, kConnected, kFirstHasEnded };
    Atomic<int> step{kBegin};
    std::thread owner([&] {
      const std::unique_ptr<Driver> other = NewDriver();
      second.SetAccept(listener.fd.get());
      ASSERT_FALSE(other->Start(second));
      other->Poll(0);
      step.store(kBothWait, std::memory_order_release);
      SpinUntil(step, kConnects);
      table.Fill();
      Connect(client, listener);
      step.store(kConnected, std::memory_order_release);
      SpinUntil(step, kFirstHasEnded);
      table.Free();
      PollUntilDone(*other, second);
    });
    SpinUntil(step, kBothWait);
    step.store(kConnects, std::memory_order_release);
    SpinUntil(step, kConnected);
    driver_->RequestCancel(first);
    PollUntilDone(*driver_, first);
    step.store(kFirstHasEnded, std::memory_order_release);
    owner.join();
    if (!first.cancelled) ExpectThatItKnows(first);
    ExpectThatItKnows(second);
    backend_->Forget(listener.fd.get());
  }
}

TEST_P(DriverTest, AConnectionThatACancelledAcceptWasWokenForGoesToAnAcceptThatWaits) {
  constexpr int kRounds = 20;
  const Listener listener = Listen();
  for (int round = 0; round < kRounds; ++round) {
    CountedOperation first, second;
    first.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(first));
    driver_->Poll(0);
    enum Step { kBegin, kBothWait, kConnects, kConnected, kFirstHasEnded };
    Atomic<int> step{kBegin};
    std::thread owner([&] {
      const std::unique_ptr<Driver> other = NewDriver();
      second.SetAccept(listener.fd.get());
      ASSERT_FALSE(other->Start(second));
      other->Poll(0);
      step.store(kBothWait, std::memory_order_release);
      SpinUntil(step, kConnects);
      const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      Connect(client, listener);
      step.store(kConnected, std::memory_order_release);
      SpinUntil(step, kFirstHasEnded);
      if (!first.cancelled) other->RequestCancel(second);
      PollUntilDone(*other, second);
    });
    SpinUntil(step, kBothWait);
    step.store(kConnects, std::memory_order_release);
    SpinUntil(step, kConnected);
    driver_->RequestCancel(first);
    PollUntilDone(*driver_, first);
    step.store(kFirstHasEnded, std::memory_order_release);
    owner.join();
    EXPECT_NE(first.cancelled, second.cancelled) << "one of them has it";
    ::close(first.cancelled ? second.result : first.result);
  }
}

TEST_P(DriverTest, ASendRacedByACancellerSaysExactlyWhatWasSent) {
  constexpr int kRounds = 150;
  const std::vector<char> block(1 << 20, 's');
  CountedOperation op;
  Pair pair;
  int64_t filled = 0;
  int64_t drained = 0;
  Atomic<int> started{0};
  Atomic<int> attacked{0};
  std::thread attacker([&] {
    Random random(4);
    std::vector<char> drain(1 << 16);
    for (int round = 1; round <= kRounds; ++round) {
      while (started.load(std::memory_order_acquire) < round) std::this_thread::yield();
      const bool cancel_first = random(2) == 0;
      if (cancel_first) driver_->RequestCancel(op);
      for (uint32_t reads = 1 + random(8); reads > 0; --reads) {
        const ssize_t count = ::recv(pair.b.get(), drain.data(), drain.size(), 0);
        if (count > 0) drained += count;
      }
      if (!cancel_first) driver_->RequestCancel(op);
      attacked.store(round, std::memory_order_release);
      driver_->Ring();
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    pair = UnixPair();
    filled = static_cast<int64_t>(FillSendBuffer(pair.a.get()));
    drained = 0;
    op.Reset();
    op.SetSend(pair.a.get(), block.data(), block.size());
    ASSERT_FALSE(driver_->Start(op));
    started.store(round, std::memory_order_release);
    while (!op.done() || attacked.load(std::memory_order_acquire) < round) driver_->Poll(Driver::kNoTimeout);
    ASSERT_EQ(op.ends, 1);
    const int64_t sent = op.cancelled ? 0 : op.result;
    ASSERT_GE(sent, 0);
    backend_->Forget(pair.a.get());
    pair.a.Close();
    char rest[65536];
    ssize_t count;
    while ((count = ::recv(pair.b.get(), rest, sizeof(rest), 0)) > 0) drained += count;
    ASSERT_EQ(count, 0);
    ASSERT_EQ(drained, filled + sent);
  }
  attacker.join();
}

// Sweeps the moment of the ring over the moments of going to sleep; a ring that falls between a last look and the
// sleep, and is lost there, is the end of the test.
TEST_P(DriverTest, ARingAtAnyMomentOfGoingToSleepEndsThePoll) {
  constexpr int kRounds = 10'000;
  Atomic<int> round{0};
  std::thread ringer([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (round.load(std::memory_order_acquire) < i) CpuRelax();
      for (int pause = i % 61; pause > 0; --pause) CpuRelax();
      driver_->Ring();
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    round.store(i, std::memory_order_release);
    ASSERT_EQ(driver_->Poll(Driver::kNoTimeout), 0);
  }
  ringer.join();
}

// A token that travels between the owners of several drivers: each hop is a ring, and a lost one would be the end. The
// sockets are busy meanwhile, on all drivers.
TEST_P(DriverTest, RingsAmongManyDriversAreNotLostWhileSocketsAreBusy) {
  constexpr int kDrivers = 4;
  constexpr int kHops = 1500;
  Atomic<Driver*> drivers[kDrivers] = {};
  Atomic<int> ready{0};
  Atomic<int> token{-1};
  Atomic<int> hops{0};
  Atomic<int> gone{0};
  const auto own = [&](int self) {
    const std::unique_ptr<Driver> driver = NewDriver();
    drivers[self].store(driver.get(), std::memory_order_release);
    ready.fetch_add(1, std::memory_order_acq_rel);
    Random random(20 + self);
    const Pair pair = UnixPair();
    char buffer;
    CountedOperation op;
    op.SetReceive(pair.a.get(), &buffer, 1);
    ASSERT_FALSE(driver->Start(op));
    while (hops.load(std::memory_order_acquire) < kHops) {
      driver->Poll(Driver::kNoTimeout);
      if (op.done()) {
        ASSERT_EQ(op.result, 1);
        op.Reset();
        while (driver->Start(op)) ASSERT_EQ(op.result, 1);
      }
      if (token.load(std::memory_order_acquire) != self) continue;
      // Its own event and the next one's ring race with each other.
      ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
      if (hops.fetch_add(1, std::memory_order_acq_rel) + 1 == kHops) break;
      const int next = static_cast<int>((self + 1 + random(kDrivers - 1)) % kDrivers);
      token.store(next, std::memory_order_release);
      drivers[next].load(std::memory_order_relaxed)->Ring();
    }
    for (Atomic<Driver*>& other : drivers) other.load(std::memory_order_relaxed)->Ring();
    driver->RequestCancel(op);
    gone.fetch_add(1, std::memory_order_acq_rel);
    // Who has counted itself as gone rings nobody any more.
    while (!op.done() || gone.load(std::memory_order_acquire) < kDrivers + 1) driver->Poll(kMillisecondNs);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kDrivers; ++i) threads.emplace_back(own, i);
  while (ready.load(std::memory_order_acquire) < kDrivers) std::this_thread::yield();
  token.store(0, std::memory_order_release);
  drivers[0].load(std::memory_order_relaxed)->Ring();
  gone.fetch_add(1, std::memory_order_acq_rel);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(hops, kHops);
}

}  // namespace
}  // namespace weft::internal
