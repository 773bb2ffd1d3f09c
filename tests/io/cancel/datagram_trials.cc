// Datagrams. "Short" is one that is longer than the buffer, or one of no bytes.
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/closed.h"
#include "weft/net/datagram.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using internal::Sys;
using io::UniqueDescriptor;
using net::Datagram;
using net::UdpSocket;
using net::UnixDatagram;

constexpr size_t kRoom = 8;

// Sends until there is no room, and returns how many.
int FillWithDatagrams(int fd) {
  for (int count = 0;; ++count) {
    if (Sys().send(fd, "filler", 6, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return count;
  }
}

// How many are there.
int CountDatagrams(int fd) {
  char buffer[64];
  int count = 0;
  while (Sys().recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0) ++count;
  return count;
}

// Two sockets of UDP, of which each is the other's peer.
class UdpTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    mine.emplace(UdpSocket::Bind("127.0.0.1:0").value());
    peer.emplace(UdpSocket::Connect(mine->local_address().value()).value());
    EXPECT_EQ(mine->SetPeer(peer->local_address().value()), absl::OkStatus());
    co_return;
  }

 protected:
  // Sends to a peer that is gone: the next call on the socket learns of it.
  void LosePeer() {
    peer.reset();
    SendNow(mine->native_handle(), "x");
  }
  Task<void> ExpectUsable() {
    char buffer[kRoom];
    EXPECT_EQ(co_await peer->Send("p"), absl::OkStatus());
    EXPECT_EQ((co_await mine->ReceiveFrom(buffer)).value().size, 1u);
    EXPECT_EQ(co_await mine->Send("m"), absl::OkStatus());
    EXPECT_EQ((co_await peer->ReceiveFrom(buffer)).value().size, 1u);
  }

  std::optional<UdpSocket> mine, peer;
};

// The kernel takes what is sent, or drops it: a send waits for nobody.
class UdpSendTrial : public UdpTrial {
 public:
  using UdpTrial::UdpTrial;

  Task<void> SetUp() override {
    co_await UdpTrial::SetUp();
    if (!fails()) co_return;
    LosePeer();
    AwaitError(mine->native_handle());
  }
  bool IsCompleteBefore() const override { return true; }
  Task<void> Operate() override {
    status = co_await mine->Send(is_short() ? "" : "datagram");
    NoteReturn();
  }
  Task<void> Check() override {
    if (fails()) {
      if (!returned()) status = co_await mine->Send("x");
      EXPECT_EQ(ErrnoOf(status), ECONNREFUSED) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    char buffer[kRoom];
    if (returned()) EXPECT_EQ((co_await peer->ReceiveFrom(buffer)).value().size, is_short() ? 0u : 8u);
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), peer->ReceiveFrom(buffer))).has_value());
    co_await ExpectUsable();
  }

 private:
  absl::Status status;
};

class UdpReceiveTrial : public UdpTrial {
 public:
  using UdpTrial::UdpTrial;

  Task<void> Operate() override {
    const absl::StatusOr<Datagram> got = co_await mine->ReceiveFrom(buffer);
    NoteReturn();
    Note(got);
  }
  void Complete() override {
    if (fails()) return LosePeer();
    SendNow(peer->native_handle(), BytesFrom(0, is_short() ? 2 * kRoom : kRoom));
  }
  Task<void> Check() override {
    if (!returned()) Note(co_await mine->ReceiveFrom(buffer));
    if (fails()) {
      EXPECT_EQ(ErrnoOf(status), ECONNREFUSED) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(std::string(buffer, kRoom), BytesFrom(0, kRoom));
    EXPECT_EQ(truncated, is_short());
    EXPECT_EQ(CountDatagrams(mine->native_handle()), 0);
    co_await ExpectUsable();
  }

 private:
  void Note(const absl::StatusOr<Datagram>& got) {
    status = got.status();
    if (got.ok()) truncated = got->truncated;
  }

  char buffer[kRoom] = {};
  absl::Status status;
  bool truncated = false;
};

// Two sockets of this machine, of which each is the other's peer.
class UnixDatagramTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    auto [first, second] = UnixDatagram::Pair().value();
    mine.emplace(std::move(first));
    peer.emplace(std::move(second));
    co_return;
  }

 protected:
  Task<void> ExpectUsable() {
    char buffer[kRoom];
    EXPECT_EQ(co_await peer->Send("p"), absl::OkStatus());
    EXPECT_EQ((co_await mine->ReceiveFrom(buffer)).value().size, 1u);
    EXPECT_EQ(co_await mine->Send("m"), absl::OkStatus());
    EXPECT_EQ((co_await peer->ReceiveFrom(buffer)).value().size, 1u);
  }

  std::optional<UnixDatagram> mine, peer;
};

// To a peer whose queue is full.
class UnixDatagramSendTrial : public UnixDatagramTrial {
 public:
  using UnixDatagramTrial::UnixDatagramTrial;

  Task<void> SetUp() override {
    co_await UnixDatagramTrial::SetUp();
    filled = FillWithDatagrams(mine->native_handle());
  }
  Task<void> Operate() override {
    const int descriptors[] = {mine->native_handle()};
    status = co_await mine->Send(is_short() ? "" : "datagram", descriptors);
    NoteReturn();
  }
  void Complete() override {
    if (fails()) return peer.reset();
    EXPECT_EQ(CountDatagrams(peer->native_handle()), filled);
  }
  Task<void> Check() override {
    if (fails()) {
      if (!returned()) status = co_await mine->Send("x");
      EXPECT_TRUE(ErrnoOf(status) == ECONNREFUSED || ErrnoOf(status) == EPIPE || ErrnoOf(status) == ECONNRESET ||
                  ErrnoOf(status) == ENOTCONN)
          << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    char buffer[kRoom];
    std::vector<UniqueDescriptor> descriptors;
    if (returned()) {
      EXPECT_EQ((co_await peer->ReceiveFrom(buffer, descriptors)).value().size, is_short() ? 0u : 8u);
      EXPECT_EQ(descriptors.size(), 1u);
    }
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), peer->ReceiveFrom(buffer))).has_value())
        << "a send that is cancelled sends nothing";
    co_await ExpectUsable();
  }

 private:
  int filled = 0;
  absl::Status status;
};

// With a descriptor. The error is that this side closes: a datagram's peer can do no wrong.
class UnixDatagramReceiveTrial : public UnixDatagramTrial {
 public:
  using UnixDatagramTrial::UnixDatagramTrial;

  Task<void> Operate() override {
    const absl::StatusOr<Datagram> got = co_await mine->ReceiveFrom(buffer, descriptors);
    NoteReturn();
    Note(got);
  }
  void Complete() override {
    if (fails()) return mine->Close();
    SendNow(peer->native_handle(), BytesFrom(0, is_short() ? 2 * kRoom : kRoom), peer->native_handle());
  }
  Task<void> Check() override {
    if (!returned()) Note(co_await mine->ReceiveFrom(buffer, descriptors));
    if (fails()) {
      EXPECT_TRUE(net::IsClosed(status)) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(std::string(buffer, kRoom), BytesFrom(0, kRoom));
    EXPECT_EQ(truncated, is_short());
    EXPECT_EQ(descriptors.size(), 1u);
    EXPECT_EQ(CountDatagrams(mine->native_handle()), 0);
    co_await ExpectUsable();
  }

 private:
  void Note(const absl::StatusOr<Datagram>& got) {
    status = got.status();
    if (got.ok()) truncated = got->truncated;
  }

  char buffer[kRoom] = {};
  std::vector<UniqueDescriptor> descriptors;
  absl::Status status;
  bool truncated = false;
};

}  // namespace

void AddDatagrams(std::vector<Row>& rows) {
  rows.push_back(RowOf<UdpSendTrial>("UdpSocket::Send"));
  rows.push_back(RowOf<UdpReceiveTrial>("UdpSocket::ReceiveFrom"));
  rows.push_back(RowOf<UnixDatagramSendTrial>("UnixDatagram::Send"));
  rows.push_back(RowOf<UnixDatagramReceiveTrial>("UnixDatagram::ReceiveFrom"));
}

}  // namespace weft::testing
