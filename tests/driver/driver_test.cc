// Goal: every sentence of the Driver contract (lib/driver/driver.h), on both backends.
// Method: one driver, real sockets on loopback, no runtime. What a test waits for, it waits for in Poll().
#include "lib/driver/driver.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/base/fence.h"
#include "lib/driver/pending_operations.h"
#include "lib/testing/syscall_fault.h"
#include "tests/driver/driver_fixture.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int64_t kMillisecondNs = 1'000'000;

INSTANTIATE_TEST_SUITE_P(Backends, DriverTest, testing::Values(IoBackend::kUring, IoBackend::kEpoll), BackendName);

// ---- Receive and send ----------------------------------------------------------------------------------------------

TEST_P(DriverTest, ReceiveGivesTheBytesThatAreThere) {
  const Pair pair = TcpPair();
  ASSERT_EQ(::send(pair.b.get(), "hello", 5, 0), 5);
  char buffer[16] = {};
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  EXPECT_EQ(Finish(*driver_, op), 5);
  EXPECT_EQ(std::string(buffer), "hello");
  EXPECT_FALSE(op.cancelled);
  backend_->Forget(pair.a.get());
}

TEST_P(DriverTest, ReceiveStaysPendingUntilThePeerSends) {
  const Pair pair = TcpPair();
  char buffer[16] = {};
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->in_flight(), 1);
  EXPECT_EQ(driver_->Poll(0), 0);
  EXPECT_FALSE(op.done());
  ASSERT_EQ(::send(pair.b.get(), "late", 4, 0), 4);
  EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 1);
  EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(op.result, 4);
  EXPECT_EQ(std::string(buffer), "late");
  EXPECT_EQ(driver_->in_flight(), 0);
}

TEST_P(DriverTest, ATransferOfNoBytesEndsAtOnceWhateverTheStateOfTheSocket) {
  Pair pair = TcpPair();
  const auto move_nothing = [&] {
    char buffer;
    CountedOperation receive;
    receive.SetReceive(pair.a.get(), &buffer, 0);
    EXPECT_TRUE(driver_->Start(receive));
    EXPECT_EQ(receive.result, 0);
    CountedOperation send;
    send.SetSend(pair.a.get(), &buffer, 0);
    EXPECT_TRUE(driver_->Start(send));
    EXPECT_EQ(send.result, 0);
    EXPECT_EQ(driver_->in_flight(), 0);
  };
  move_nothing();
  ASSERT_EQ(::send(pair.b.get(), "data", 4, 0), 4);
  move_nothing();
  FillSendBuffer(pair.a.get());
  move_nothing();
  pair.b.Close();
  move_nothing();
}

TEST_P(DriverTest, ManyReceivesOnOneSocketAfterEachOther) {
  const Pair pair = TcpPair();
  std::thread peer([&] {
    for (int i = 0; i < 2000; ++i) {
      const char byte = static_cast<char>(i);
      ASSERT_EQ(::send(pair.b.get(), &byte, 1, 0), 1);
      if (i % 7 == 0) std::this_thread::yield();
    }
  });
  int received = 0;
  while (received < 2000) {
    unsigned char buffer[8];
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    const int32_t count = Finish(*driver_, op);
    ASSERT_GT(count, 0);
    for (int i = 0; i < count; ++i) ASSERT_EQ(buffer[i], static_cast<unsigned char>(received++));
  }
  peer.join();
}

TEST_P(DriverTest, TheEndOfTheStreamIsZero) {
  Pair pair = TcpPair();
  char buffer[16];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  pair.b.Close();
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, 0);
  CountedOperation again;
  again.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  EXPECT_EQ(Finish(*driver_, again), 0);
}

TEST_P(DriverTest, WhatWasSentBeforeTheEndArrivesBeforeTheEnd) {
  Pair pair = TcpPair();
  ASSERT_EQ(::send(pair.b.get(), "tail", 4, 0), 4);
  pair.b.Close();
  char buffer[16];
  CountedOperation data;
  data.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  EXPECT_EQ(Finish(*driver_, data), 4);
  CountedOperation end;
  end.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  EXPECT_EQ(Finish(*driver_, end), 0);
}

TEST_P(DriverTest, AResetOfThePeerIsAnError) {
  Pair pair = TcpPair();
  char buffer[16];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(pair.b.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
  pair.b.Close();
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -ECONNRESET);
  EXPECT_FALSE(op.cancelled);
}

TEST_P(DriverTest, ASmallSendEndsAtOnce) {
  const Pair pair = TcpPair();
  CountedOperation op;
  op.SetSend(pair.a.get(), "now", 3);
  EXPECT_TRUE(driver_->Start(op));
  EXPECT_EQ(op.result, 3);
  EXPECT_EQ(op.ends, 0) << "complete() is not for what Start() has ended";
  char buffer[8] = {};
  EXPECT_EQ(::recv(pair.b.get(), buffer, sizeof(buffer), 0), 3);
}

TEST_P(DriverTest, ASendIntoFullBuffersWaitsForThePeerAndMayBeShort) {
  const Pair pair = UnixPair();
  const size_t filled = FillSendBuffer(pair.a.get());
  const std::string block(1 << 22, 's');
  CountedOperation op;
  op.SetSend(pair.a.get(), block.data(), block.size());
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  std::vector<char> drain(1 << 20);
  size_t drained = 0;
  while (!op.done()) {
    const ssize_t count = ::recv(pair.b.get(), drain.data(), drain.size(), 0);
    if (count > 0) drained += static_cast<size_t>(count);
    driver_->Poll(kMillisecondNs);
  }
  EXPECT_GT(op.result, 0);
  EXPECT_LE(static_cast<size_t>(op.result), block.size());
  const size_t all = filled + static_cast<size_t>(op.result);
  ASSERT_EQ(::fcntl(pair.b.get(), F_SETFL, 0), 0);
  while (drained < all) {
    const ssize_t count = ::recv(pair.b.get(), drain.data(), drain.size(), 0);
    ASSERT_GT(count, 0);
    drained += static_cast<size_t>(count);
  }
  EXPECT_EQ(drained, all) << "what the result says was sent, no less and no more";
}

TEST_P(DriverTest, ASendToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  Pair pair = UnixPair();
  pair.b.Close();
  CountedOperation op;
  op.SetSend(pair.a.get(), "x", 1);
  EXPECT_EQ(Finish(*driver_, op), -EPIPE);
}

TEST_P(DriverTest, APendingSendEndsWhenThePeerGoes) {
  Pair pair = UnixPair();
  FillSendBuffer(pair.a.get());
  const std::string block(1 << 20, 's');
  CountedOperation op;
  op.SetSend(pair.a.get(), block.data(), block.size());
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  pair.b.Close();
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -EPIPE);
}

TEST_P(DriverTest, AReceiveAndASendWaitOnOneSocketAtOnce) {
  const Pair pair = UnixPair();
  FillSendBuffer(pair.a.get());
  const std::string block(1 << 16, 's');
  char buffer[16];
  CountedOperation receive;
  CountedOperation send;
  receive.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  send.SetSend(pair.a.get(), block.data(), block.size());
  ASSERT_FALSE(driver_->Start(receive));
  ASSERT_FALSE(driver_->Start(send));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  PollUntilDone(*driver_, receive);
  EXPECT_EQ(receive.result, 1);
  EXPECT_FALSE(send.done());
  std::vector<char> drain(1 << 20);
  while (!send.done()) {
    while (::recv(pair.b.get(), drain.data(), drain.size(), 0) > 0) {
    }
    driver_->Poll(kMillisecondNs);
  }
  EXPECT_GT(send.result, 0);
}

TEST_P(DriverTest, ABadDescriptorIsAResult) {
  char buffer[4];
  for (const IoRequest& request : {IoRequest::Receive(buffer, sizeof(buffer)), IoRequest::Send(buffer, sizeof(buffer)),
                                   IoRequest::Accept(nullptr, nullptr)}) {
    CountedOperation op;
    op.Set(1 << 20, request);
    EXPECT_EQ(Finish(*driver_, op), -EBADF);
  }
}

// ---- Accept and connect --------------------------------------------------------------------------------------------

TEST_P(DriverTest, AcceptWaitsForAConnectionAndGivesANonBlockingDescriptor) {
  const Listener listener = Listen();
  sockaddr_in peer = {};
  socklen_t peer_length = sizeof(peer);
  CountedOperation op;
  op.SetAccept(listener.fd.get(), reinterpret_cast<sockaddr*>(&peer), &peer_length);
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  PollUntilDone(*driver_, op);
  ASSERT_GE(op.result, 0);
  const Fd accepted(op.result);
  EXPECT_NE(::fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC, 0);
  sockaddr_in local = {};
  socklen_t local_length = sizeof(local);
  ASSERT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&local), &local_length), 0);
  EXPECT_EQ(peer_length, sizeof(sockaddr_in));
  EXPECT_EQ(peer.sin_port, local.sin_port);
}

// Under load a thread that accepts has one turn in a round of all threads: it gets many in it, not one.
TEST_P(DriverTest, AcceptTakesConnectionsThatAreThereAtOnce) {
  const Listener listener = Listen();
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(
        ::connect(clients.back().get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  }
  for (int i = 0; i < 3; ++i) {
    CountedOperation op;
    op.SetAccept(listener.fd.get());
    ASSERT_TRUE(driver_->Start(op));
    const Fd accepted(op.result);
    EXPECT_NE(::fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_P(DriverTest, SeveralAcceptsOnOneListenerGetAConnectionEach) {
  constexpr int kCount = 16;
  const Listener listener = Listen();
  std::vector<CountedOperation> ops(kCount);
  for (CountedOperation& op : ops) {
    op.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(op));
  }
  std::vector<Fd> clients;
  for (int i = 0; i < kCount; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(
        ::connect(clients.back().get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  }
  for (CountedOperation& op : ops) {
    PollUntilDone(*driver_, op);
    ASSERT_GE(op.result, 0);
    ::close(op.result);
  }
}

TEST_P(DriverTest, ConnectEndsWithZero) {
  const Listener listener = Listen();
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CountedOperation op;
  op.SetConnect(client.get(), listener.address);
  EXPECT_EQ(Finish(*driver_, op), 0);
  const Fd accepted(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_GE(accepted.get(), 0);
  CountedOperation send;
  send.SetSend(client.get(), "x", 1);
  EXPECT_EQ(Finish(*driver_, send), 1);
}

TEST_P(DriverTest, ConnectToNobodyIsRefused) {
  sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof(nobody);
  const Fd bound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // it does not listen
  ASSERT_EQ(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&nobody), size), 0);
  ASSERT_EQ(::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&nobody), &size), 0);
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CountedOperation op;
  op.SetConnect(client.get(), nobody);
  EXPECT_EQ(Finish(*driver_, op), -ECONNREFUSED);
}

// A listener whose queue is full answers no SYN: connects to it stay pending.
struct FullListener {
  FullListener() : listener(Listen(0)) {
    for (;;) {
      Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in));
      // On loopback the handshake is over, or not, when connect returns.
      sockaddr_in peer;
      socklen_t length = sizeof(peer);
      const bool connected = ::getpeername(client.get(), reinterpret_cast<sockaddr*>(&peer), &length) == 0;
      clients.push_back(std::move(client));
      if (!connected) return;
    }
  }
  Listener listener;
  std::vector<Fd> clients;
};

TEST_P(DriverTest, APendingConnectCanBeCancelled) {
  const FullListener full;
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  CountedOperation op;
  op.SetConnect(client.get(), full.listener.address);
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  driver_->RequestCancel(op);
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -ECANCELED);
  EXPECT_TRUE(op.cancelled);
}

TEST_P(DriverTest, AcceptAtTheLimitOfDescriptorsIsAResultAndLosesNoConnection) {
  const Listener listener = Listen();
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  Fd next(::dup(client.get()));
  const rlimit tight = {.rlim_cur = static_cast<rlim_t>(next.get()), .rlim_max = before.rlim_max};
  next.Close();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  CountedOperation refused;
  refused.SetAccept(listener.fd.get());
  EXPECT_EQ(Finish(*driver_, refused), -EMFILE);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  CountedOperation op;
  op.SetAccept(listener.fd.get());
  const Fd accepted(Finish(*driver_, op));
  EXPECT_GE(accepted.get(), 0);
}

// ---- Calls of their own -------------------------------------------------------------------------------------------

// Reads one byte from a pipe, and returns it.
int32_t ReadByte(int fd, void* calls) noexcept {
  ++*static_cast<int*>(calls);
  char byte;
  const ssize_t got = ::read(fd, &byte, 1);
  return got < 0 ? -errno : got == 0 ? -EPIPE : byte;
}

template <short kEvents>
int32_t PollFor(int fd, void*) noexcept {
  pollfd wanted = {.fd = fd, .events = kEvents, .revents = 0};
  return ::poll(&wanted, 1, 0) == 0 ? -EAGAIN : wanted.revents;
}

Pair Pipe() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

TEST_P(DriverTest, ACallThatDoesNotBlockEndsAtOnce) {
  const Pair pipe = Pipe();
  ASSERT_EQ(::write(pipe.b.get(), "x", 1), 1);
  int calls = 0;
  CountedOperation op;
  op.Set(pipe.a.get(), IoRequest::CallWhenReadable({&ReadByte, &calls}));
  EXPECT_TRUE(driver_->Start(op));
  EXPECT_EQ(op.result, 'x');
  EXPECT_EQ(calls, 1);
}

TEST_P(DriverTest, ACallThatWouldBlockIsMadeAgainWhenTheDescriptorIsReady) {
  const Pair pipe = Pipe();
  int calls = 0;
  CountedOperation op;
  op.Set(pipe.a.get(), IoRequest::CallWhenReadable({&ReadByte, &calls}));
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  EXPECT_FALSE(op.done());
  ASSERT_EQ(::write(pipe.b.get(), "y", 1), 1);
  EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 1);
  EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(op.result, 'y');
  EXPECT_EQ(driver_->in_flight(), 0);
  backend_->Forget(pipe.a.get());
}

TEST_P(DriverTest, OfTwoCallsForOneByteOneGoesOnWaiting) {
  const Pair pipe = Pipe();
  int calls = 0;
  CountedOperation ops[2];
  for (CountedOperation& op : ops) {
    op.Set(pipe.a.get(), IoRequest::CallWhenReadable({&ReadByte, &calls}));
    ASSERT_FALSE(driver_->Start(op));
  }
  ASSERT_EQ(::write(pipe.b.get(), "1", 1), 1);
  while (!ops[0].done() && !ops[1].done()) driver_->Poll(Driver::kNoTimeout);
  EXPECT_EQ(driver_->Poll(0), 0);
  EXPECT_EQ(driver_->in_flight(), 1);
  ASSERT_EQ(::write(pipe.b.get(), "2", 1), 1);
  for (CountedOperation& op : ops) PollUntilDone(*driver_, op);
  EXPECT_EQ(ops[0].result + ops[1].result, '1' + '2');
  backend_->Forget(pipe.a.get());
}

TEST_P(DriverTest, TheErrorOfACallIsItsResult) {
  Pair pipe = Pipe();
  int calls = 0;
  CountedOperation op;
  op.Set(pipe.a.get(), IoRequest::CallWhenReadable({&ReadByte, &calls}));
  ASSERT_FALSE(driver_->Start(op));
  pipe.b.Close();
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -EPIPE);
  EXPECT_FALSE(op.cancelled);
  backend_->Forget(pipe.a.get());
}

TEST_P(DriverTest, ACancelledCallEndsOnceAndTakesNothing) {
  const Pair pipe = Pipe();
  for (int i = 0; i < 100; ++i) {
    int calls = 0;
    CountedOperation op;
    op.Set(pipe.a.get(), IoRequest::CallWhenReadable({&ReadByte, &calls}));
    ASSERT_FALSE(driver_->Start(op));
    if (i % 2 == 0) driver_->Poll(0);
    if (i % 3 == 0) {
      ASSERT_EQ(::write(pipe.b.get(), "x", 1), 1);
    }
    driver_->RequestCancel(op);
    PollUntilDone(*driver_, op);
    EXPECT_EQ(op.ends, 1);
    char byte;
    const bool left = ::read(pipe.a.get(), &byte, 1) == 1;
    EXPECT_EQ(left, op.cancelled && i % 3 == 0) << i;
    EXPECT_EQ(op.result, op.cancelled ? -ECANCELED : 'x');
  }
  backend_->Forget(pipe.a.get());
}

TEST_P(DriverTest, AWaitForAHangUpLetsReadsPass) {
  Pair pair = TcpPair();
  char buffer[8];
  CountedOperation hang_up;
  CountedOperation receive;
  hang_up.Set(pair.a.get(), IoRequest::CallWhenHungUp({&PollFor<POLLRDHUP>, nullptr}));
  ASSERT_FALSE(driver_->Start(hang_up));
  for (int i = 0; i < 3; ++i) {
    receive.Reset();
    receive.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    ASSERT_FALSE(driver_->Start(receive));
    ASSERT_EQ(::send(pair.b.get(), "data", 4, 0), 4);
    PollUntilDone(*driver_, receive);
    EXPECT_EQ(receive.result, 4);
    EXPECT_FALSE(hang_up.done());
  }
  pair.b.Close();
  PollUntilDone(*driver_, hang_up);
  EXPECT_NE(hang_up.result & POLLRDHUP, 0);
  backend_->Forget(pair.a.get());
}

TEST_P(DriverTest, DataThatNobodyReadsDoesNotWakeAWaitForAHangUp) {
  Pair pair = TcpPair();
  ASSERT_EQ(::send(pair.b.get(), "data", 4, 0), 4);
  CountedOperation hang_up;
  hang_up.Set(pair.a.get(), IoRequest::CallWhenHungUp({&PollFor<POLLRDHUP>, nullptr}));
  ASSERT_FALSE(driver_->Start(hang_up));
  EXPECT_EQ(driver_->Poll(0), 0);
  pair.b.Close();
  PollUntilDone(*driver_, hang_up);
  backend_->Forget(pair.a.get());
}

// ---- Cancelling ----------------------------------------------------------------------------------------------------

TEST_P(DriverTest, ACancelledReceiveEndsOnceAndTheBytesStayInTheSocket) {
  const Pair pair = TcpPair();
  char buffer[16] = {};
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  EXPECT_EQ(driver_->Poll(0), 0);
  driver_->RequestCancel(op);
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(op.result, -ECANCELED);
  EXPECT_TRUE(op.cancelled);
  ASSERT_EQ(::send(pair.b.get(), "kept", 4, 0), 4);
  EXPECT_EQ(driver_->Poll(0), 0);
  EXPECT_EQ(op.ends, 1);
  CountedOperation next;
  next.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  EXPECT_EQ(Finish(*driver_, next), 4);
}

TEST_P(DriverTest, AnOperationCancelledBeforeItWasEverPolledEnds) {
  const Pair pair = TcpPair();
  char buffer[16];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  driver_->RequestCancel(op);
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -ECANCELED);
}

TEST_P(DriverTest, ACancellationAfterTheEndDoesNothing) {
  const Pair pair = TcpPair();
  char buffer[16];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
  PollUntilDone(*driver_, op);
  driver_->RequestCancel(op);
  EXPECT_EQ(driver_->Poll(0), 0);
  EXPECT_EQ(op.ends, 1);
  EXPECT_EQ(op.result, 1);
  EXPECT_FALSE(op.cancelled);
}

TEST_P(DriverTest, ACancellationThatComesAfterTheBytesDeliversTheBytes) {
  const Pair pair = UnixPair();
  for (int i = 0; i < 100; ++i) {
    char buffer[16];
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    ASSERT_FALSE(driver_->Start(op));
    EXPECT_EQ(driver_->Poll(0), 0);
    ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
    driver_->RequestCancel(op);
    PollUntilDone(*driver_, op);
    // The edge may not have been looked at when the cancellation came: then the byte is still in the socket.
    if (op.cancelled) {
      EXPECT_EQ(op.result, -ECANCELED);
      EXPECT_EQ(::recv(pair.a.get(), buffer, sizeof(buffer), 0), 1);
    } else {
      EXPECT_EQ(op.result, 1);
      EXPECT_EQ(::recv(pair.a.get(), buffer, sizeof(buffer), 0), -1);
    }
  }
}

TEST_P(DriverTest, ACancelledAcceptLeavesTheConnectionInTheQueue) {
  const Listener listener = Listen();
  CountedOperation op;
  op.SetAccept(listener.fd.get());
  ASSERT_FALSE(driver_->Start(op));
  driver_->RequestCancel(op);
  PollUntilDone(*driver_, op);
  EXPECT_EQ(op.result, -ECANCELED);
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  CountedOperation next;
  next.SetAccept(listener.fd.get());
  const Fd accepted(Finish(*driver_, next));
  EXPECT_GE(accepted.get(), 0);
}

TEST_P(DriverTest, OneOfSeveralWaitersCanBeCancelled) {
  const Listener listener = Listen();
  std::vector<CountedOperation> ops(5);
  for (CountedOperation& op : ops) {
    op.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(op));
  }
  for (const int i : {2, 0, 4}) {
    driver_->RequestCancel(ops[i]);
    PollUntilDone(*driver_, ops[i]);
    EXPECT_TRUE(ops[i].cancelled);
  }
  Fd clients[2];
  for (Fd& client : clients) {
    client = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  }
  for (const int i : {1, 3}) {
    PollUntilDone(*driver_, ops[i]);
    const Fd accepted(ops[i].result);
    EXPECT_GE(accepted.get(), 0);
  }
}

struct OrderedOperation : CountedOperation {
  OrderedOperation() noexcept {
    complete = [](Operation& op) noexcept { static_cast<OrderedOperation&>(op).ended->push_back(&op); };
  }
  std::vector<Operation*>* ended = nullptr;
};

TEST_P(DriverTest, WhatWasCancelledIsCompletedInTheOrderOfTheCancellations) {
  const Listener listener = Listen();
  std::vector<OrderedOperation> ops(5);
  std::vector<Operation*> ended;
  ended.reserve(ops.size());
  for (OrderedOperation& op : ops) {
    op.ended = &ended;
    op.SetAccept(listener.fd.get());
    ASSERT_FALSE(driver_->Start(op));
  }
  const std::vector<Operation*> order = {&ops[3], &ops[0], &ops[4], &ops[1], &ops[2]};
  for (Operation* op : order) driver_->RequestCancel(*op);
  while (ended.size() < order.size()) driver_->Poll(Driver::kNoTimeout);
  EXPECT_EQ(ended, order);
}

// ---- Waiting -------------------------------------------------------------------------------------------------------

TEST_P(DriverTest, PollWithoutTimeToWaitReturnsAtOnce) {
  // The shortest of many: in any of them another process may have the processor.
  auto least = steady_clock::duration::max();
  for (int i = 0; i < 100; ++i) {
    const auto start = steady_clock::now();
    EXPECT_EQ(driver_->Poll(0), 0);
    least = std::min(least, steady_clock::now() - start);
  }
  EXPECT_LT(least, milliseconds(10));
}

TEST_P(DriverTest, PollReturnsAfterItsTimeAndNotBefore) {
  for (const int64_t timeout_ns : {int64_t{1}, int64_t{50'000}, kMillisecondNs, 20 * kMillisecondNs}) {
    auto least = steady_clock::duration::max();
    for (int i = 0; i < 3; ++i) {
      const auto start = steady_clock::now();
      EXPECT_EQ(driver_->Poll(timeout_ns), 0);
      const auto waited = steady_clock::now() - start;
      EXPECT_GE(waited, std::chrono::nanoseconds(timeout_ns));
      least = std::min(least, waited);
    }
    EXPECT_LT(least, milliseconds(2000));
  }
}

TEST_P(DriverTest, ARingBeforeThePollEndsIt) {
  driver_->Ring();
  driver_->Ring();
  EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 0);
  const auto start = steady_clock::now();
  EXPECT_EQ(driver_->Poll(5 * kMillisecondNs), 0) << "many rings are one";
  EXPECT_GE(steady_clock::now() - start, milliseconds(5));
}

TEST_P(DriverTest, ARingDuringThePollEndsIt) {
  constexpr int kRounds = 2000;
  Driver* drivers[2] = {driver_.get(), nullptr};
  Atomic<int> turn{1};
  Atomic<bool> over{false};
  const auto play = [&](int self) {
    for (int i = 0; i < kRounds; ++i) {
      while (turn.load(std::memory_order_acquire) != self) drivers[self]->Poll(Driver::kNoTimeout);
      turn.store(1 - self, std::memory_order_release);
      drivers[1 - self]->Ring();
    }
  };
  std::thread other([&] {
    const std::unique_ptr<Driver> own = NewDriver();  // a driver lives on its owner's thread
    drivers[1] = own.get();
    play(1);
    while (!over.load(std::memory_order_acquire)) own->Poll(0);  // the last ring is for this driver
  });
  play(0);
  over.store(true, std::memory_order_release);
  other.join();
}

TEST_P(DriverTest, WhatWasDoneBeforeARingIsSeenAfterThePollThatItEnds) {
  int plain = 0;
  std::thread ringer([&] {
    plain = 42;
    driver_->Ring();
  });
  driver_->Poll(Driver::kNoTimeout);
  EXPECT_EQ(plain, 42);
  ringer.join();
}

Atomic<Driver*> driver_of_signal{nullptr};

TEST_P(DriverTest, ASignalIsNotAnEndButItsHandlerMayRing) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {
    if (Driver* const driver = driver_of_signal.load()) driver->Ring();
  };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t self = ::pthread_self();
  Atomic<bool> stop{false};
  std::thread sender([&] {
    while (!stop.load()) {
      ::pthread_kill(self, SIGUSR1);
      std::this_thread::yield();
    }
  });
  const auto start = steady_clock::now();
  EXPECT_EQ(driver_->Poll(20 * kMillisecondNs), 0);
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
  driver_of_signal.store(driver_.get());
  EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 0);
  driver_of_signal.store(nullptr);
  stop.store(true);
  sender.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

void RaiseHere() { ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR1); }

volatile sig_atomic_t signals_to_come = 0;

// ThreadSanitizer keeps a signal until the thread uses an atomic or makes a call that it knows. So one comes while each
// of these handles the one before, and some last one comes just before the wait.
TEST_P(DriverTest, ASignalThatComesJustBeforeAPollIsHandledAllTheSame) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {
    signals_to_come = signals_to_come - 1;
    if (signals_to_come > 0) return RaiseHere();
    driver_of_signal.load()->Ring();
  };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  driver_of_signal.store(driver_.get());
  for (int signals = 1; signals <= 100; ++signals) {
    signals_to_come = signals;
    RaiseHere();
    EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 0);
  }
  driver_of_signal.store(nullptr);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST_P(DriverTest, ACompletionEndsThePollOfASleepingDriver) {
  const Pair pair = TcpPair();
  for (int i = 0; i < 500; ++i) {
    char buffer[4];
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    std::thread peer;
    if (driver_->Start(op)) continue;
    if (i % 10 == 0) {
      peer = std::thread([&] { ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1); });
    } else {
      ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
    }
    EXPECT_EQ(driver_->Poll(Driver::kNoTimeout), 1);
    EXPECT_TRUE(op.done());
    if (peer.joinable()) peer.join();
  }
}

// ---- Closing -------------------------------------------------------------------------------------------------------

TEST_P(DriverTest, ANumberThatIsGivenOutAnewKnowsNothingOfTheOldSocket) {
  int reused = 0;
  int last = -1;
  for (int i = 0; i < 200; ++i) {
    Pair pair = UnixPair();
    reused += pair.a.get() == last ? 1 : 0;
    last = pair.a.get();
    char buffer[4] = {};
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    ASSERT_FALSE(driver_->Start(op)) << "nothing was sent on this socket";
    EXPECT_EQ(driver_->Poll(0), 0);
    const char byte = static_cast<char>('a' + i % 26);
    ASSERT_EQ(::send(pair.b.get(), &byte, 1, 0), 1);
    PollUntilDone(*driver_, op);
    EXPECT_EQ(op.result, 1);
    EXPECT_EQ(buffer[0], byte);
    // Leaves an event behind that nobody has looked at.
    ASSERT_EQ(::send(pair.b.get(), "zz", 2, 0), 2);
    if (i % 2 == 0) pair.b.Close();
    backend_->Forget(pair.a.get());
    pair.a.Close();
  }
  EXPECT_GT(reused, 100);
}

TEST_P(DriverTest, ForgettingADescriptorThatWasNeverWaitedForIsFine) {
  const Pair pair = UnixPair();
  backend_->Forget(pair.a.get());
  backend_->Forget(pair.a.get());
  backend_->Forget(-1);
  backend_->Forget(1 << 30);
}

TEST_P(DriverTest, WhatIsPendingOnADescriptorIsCancelledFromAnyThread) {
  for (int round = 0; round < 50; ++round) {
    const Listener listener = Listen();
    PendingOperations pending;
    std::vector<CountedOperation> ops(round % 8 + 1);
    for (CountedOperation& op : ops) {
      op.SetAccept(listener.fd.get());
      op.pending = &pending;
      ASSERT_FALSE(driver_->Start(op));
    }
    if (round % 2 == 0) driver_->Poll(0);
    std::thread closer([&] {
      pending.closed.store(true);
      backend_->CancelPending(listener.fd.get(), pending);
      backend_->CancelPending(listener.fd.get(), pending);
    });
    for (CountedOperation& op : ops) PollUntilDone(*driver_, op);
    closer.join();
    for (CountedOperation& op : ops) {
      EXPECT_EQ(op.ends, 1);
      EXPECT_EQ(op.result, -ECANCELED);
      EXPECT_TRUE(op.cancelled);
      driver_->RequestCancel(op);  // also nothing
    }
    EXPECT_EQ(driver_->Poll(0), 0);
    CountedOperation late;
    late.SetAccept(listener.fd.get());
    late.pending = &pending;
    EXPECT_TRUE(driver_->Start(late));
    EXPECT_EQ(late.result, -EBADF);
    backend_->Forget(listener.fd.get());
  }
}

// An operation that is about to begin is found, or learns that it must not.
TEST_P(DriverTest, NoOperationIsLeftPendingOnADescriptorThatIsClosed) {
  for (int round = 0; round < 500; ++round) {
    const Pair pair = UnixPair();
    PendingOperations pending;
    Atomic<bool> go{false};
    std::thread closer([&] {
      while (!go.load()) {
      }
      pending.closed.store(true);
      backend_->CancelPending(pair.a.get(), pending);
    });
    char buffer;
    CountedOperation op;
    op.SetReceive(pair.a.get(), &buffer, 1);
    op.pending = &pending;
    go.store(true);
    for (int i = 0; i < round % 100; ++i) CpuRelax();
    const int32_t result = Finish(*driver_, op);
    EXPECT_TRUE(result == -ECANCELED || result == -EBADF) << result;
    closer.join();
    backend_->Forget(pair.a.get());
  }
}

// ---- Relief --------------------------------------------------------------------------------------------------------

TEST_P(DriverTest, AnotherThreadDeliversWhatTheOwnerDoesNotPollFor) {
  const Pair pair = TcpPair();
  for (int i = 0; i < 100; ++i) {
    char buffer[4];
    CountedOperation op;
    op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
    ASSERT_FALSE(driver_->Start(op)) << "started, and not even submitted: the owner computes from here on";
    std::thread helper([&] {
      driver_->Relieve();
      ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
      while (!op.done()) driver_->Relieve();
    });
    helper.join();
    EXPECT_EQ(op.ends, 1);
    EXPECT_EQ(op.result, 1);
  }
}

TEST_P(DriverTest, ReliefDeliversCancellationsToo) {
  const Pair pair = TcpPair();
  char buffer[4];
  CountedOperation op;
  op.SetReceive(pair.a.get(), buffer, sizeof(buffer));
  ASSERT_FALSE(driver_->Start(op));
  std::thread helper([&] {
    driver_->RequestCancel(op);
    while (!op.done()) driver_->Relieve();
  });
  helper.join();
  EXPECT_EQ(op.ends, 1);
  EXPECT_TRUE(op.cancelled);
}

TEST_P(DriverTest, ReliefAndTheOwnerAtOnceDeliverEachOperationOnce) {
  constexpr int kPairs = 8;
  constexpr int kRounds = 400;
  Pair pairs[kPairs];
  for (Pair& pair : pairs) pair = TcpPair();
  CountedOperation ops[kPairs];
  char buffers[kPairs][4];
  Atomic<bool> stop{false};
  std::thread helper([&] {
    while (!stop.load(std::memory_order_relaxed)) driver_->Relieve();
  });
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kPairs; ++i) {
      ops[i].Reset();
      ops[i].SetReceive(pairs[i].a.get(), buffers[i], 4);
      ASSERT_FALSE(driver_->Start(ops[i]));
    }
    for (Pair& pair : pairs) ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
    for (CountedOperation& op : ops) {
      // The helper may deliver the last one, and then nothing ends a wait without limit.
      while (!op.done()) driver_->Poll(kMillisecondNs / 10);
    }
  }
  stop.store(true, std::memory_order_relaxed);
  helper.join();
  for (CountedOperation& op : ops) EXPECT_EQ(op.ends, 1);
}

// ---- Errors of the system calls ------------------------------------------------------------------------------------

TEST_P(DriverTest, InterruptedSendsAreMadeAgain) {
  const Pair pair = TcpPair();
  ScopedSyscallFault fault(&Syscalls::send, {.first = 1, .times = 3, .error = EINTR});
  CountedOperation op;
  op.SetSend(pair.a.get(), "abc", 3);
  EXPECT_EQ(Finish(*driver_, op), 3);
  EXPECT_EQ(fault.calls(), 4);
}

TEST_P(DriverTest, AnErrorOfASendIsItsResult) {
  const Pair pair = TcpPair();
  ScopedSyscallFault fault(&Syscalls::send, {.error = ENOBUFS});
  CountedOperation op;
  op.SetSend(pair.a.get(), "abc", 3);
  EXPECT_EQ(Finish(*driver_, op), -ENOBUFS);
}

}  // namespace
}  // namespace weft::internal
