// Connections: accepted and made. "Short" is one that comes and goes, or an address that does not answer.
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/io/buffer.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/closed.h"
#include "weft/net/connect.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/unix_listener.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using io::UniqueDescriptor;
using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;
using net::UnixListener;
using net::UnixStream;

// Bytes go in both directions.
template <class Stream>
Task<void> ExpectConnected(Stream& one, Stream& other) {
  for (const auto& [from, to] : {std::pair(&one, &other), std::pair(&other, &one)}) {
    char byte = 0;
    EXPECT_EQ(co_await from->Write("x"), absl::OkStatus());
    EXPECT_EQ(co_await to->ReadExactly(MutableBuffer(&byte, 1)), absl::OkStatus());
  }
}

// Of a connection that is there; without waiting for another one.
template <class Listener>
auto AcceptOne(Listener& listener) {
  return MoveOnAfter(absl::Milliseconds(10), listener.Accept());
}

// ---- Accepts.

template <class Listener, class Stream>
class AcceptTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    listener.emplace(Listener::Bind(IsTcp() ? AnyPort() : NewUnixName()).value());
    co_return;
  }
  Task<void> Operate() override {
    absl::StatusOr<Stream> got = co_await listener->Accept();
    NoteReturn();
    Deliver(std::move(got));
  }
  void Complete() override {
    if (fails()) return listener->Shutdown();
    peer = ConnectNow(listener->local_address().value());
    if (!is_short()) return;
    LetArrive();
    peer.Reset();
  }
  Task<void> Check() override {
    if (fails()) {
      if (!returned()) status = (co_await listener->Accept()).status();
      EXPECT_TRUE(net::IsClosed(status)) << status;
      co_return;
    }
    if (!returned()) Deliver(co_await listener->Accept());  // it is still there
    EXPECT_TRUE(status.ok()) << status;
    if (!accepted.has_value()) co_return;
    peer.Reset();
    char byte;
    EXPECT_EQ((co_await accepted->Read(MutableBuffer(&byte, 1))).value_or(9), 0u);
    EXPECT_FALSE((co_await AcceptOne(*listener)).has_value()) << "one connection was accepted twice";
    peer = ConnectNow(listener->local_address().value());
    EXPECT_TRUE((co_await listener->Accept()).ok());
  }

 private:
  static constexpr bool IsTcp() { return std::is_same_v<Stream, TcpStream>; }
  void Deliver(absl::StatusOr<Stream> got) {
    status = got.status();
    if (got.ok()) accepted.emplace(*std::move(got));
  }

  std::optional<Listener> listener;
  UniqueDescriptor peer;
  absl::Status status;
  std::optional<Stream> accepted;
};

// ---- Connects.

// What the kernel has made of a connect to `listener` that was cancelled: nothing, or a connection that has ended.
template <class Listener>
Task<void> ExpectNoConnection(Listener& listener) {
  auto accepted = co_await AcceptOne(listener);
  if (!accepted.has_value() || !accepted->ok()) co_return;
  char byte;
  EXPECT_LE((co_await (*accepted)->Read(MutableBuffer(&byte, 1))).value_or(0), 0u);
}

// On this machine the kernel connects, or refuses, in the call that asks for it.
class TcpConnectTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    if (succeeds()) listener.emplace(TcpListener::Bind("127.0.0.1:0").value());
    if (fails()) refusing.emplace();
    if (is_short()) silent.emplace();
    co_return;
  }
  bool IsCompleteBefore() const override { return !is_short(); }
  bool EndsInOneTurn() const override { return !is_short(); }  // nobody answers
  Task<void> Operate() override {
    absl::StatusOr<TcpStream> got = co_await Connect();
    NoteReturn();
    status = got.status();
    if (got.ok()) mine.emplace(*std::move(got));
  }
  Task<void> Check() override {
    if (is_short()) EXPECT_FALSE(returned());
    if (fails() && returned()) EXPECT_EQ(ErrnoOf(status), ECONNREFUSED) << status;
    if (!succeeds()) co_return;
    EXPECT_TRUE(status.ok()) << status;
    if (!mine.has_value()) co_await ExpectNoConnection(*listener);
    if (!mine.has_value()) mine.emplace((co_await TcpStream::Connect(listener->local_address().value())).value());
    TcpStream server = (co_await listener->Accept()).value();
    co_await ExpectConnected(*mine, server);
  }

 protected:
  SocketAddress Address() const {
    return succeeds() ? listener->local_address().value() : fails() ? refusing->address() : silent->address();
  }
  virtual Task<absl::StatusOr<TcpStream>> Connect() { return TcpStream::Connect(Address()); }

 private:
  std::optional<TcpListener> listener;
  std::optional<RefusingAddress> refusing;
  std::optional<SilentAddress> silent;
  absl::Status status;
  std::optional<TcpStream> mine;
};

// One after the other: the first address refuses, and then comes the one that is asked for.
class ConnectToAnyTrial : public TcpConnectTrial {
 public:
  using TcpConnectTrial::TcpConnectTrial;

  bool EndsInOneTurn() const override { return false; }  // an attempt has a thread of its own

 protected:
  Task<absl::StatusOr<TcpStream>> Connect() override {
    return net::ConnectToAny({first.address(), Address()}, {.attempt_delay = absl::InfiniteDuration()});
  }

 private:
  const RefusingAddress first;
};

// "Short" is a full backlog, of which nobody tells when it has room: it is tried again after a pause.
class UnixConnectTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    if (succeeds()) listener.emplace(UnixListener::Bind(name).value());
    if (!is_short()) co_return;
    full.emplace(name, /*backlog=*/0);
    first = ConnectNow(name);
  }
  bool IsCompleteBefore() const override { return !is_short(); }
  bool EndsInOneTurn() const override { return !is_short(); }
  bool WaitsForTime() const override { return is_short(); }
  Task<void> Operate() override {
    absl::StatusOr<UnixStream> got = co_await UnixStream::Connect(name);
    NoteReturn();
    status = got.status();
    if (got.ok()) mine.emplace(*std::move(got));
  }
  void Complete() override {
    if (is_short()) full->AcceptNow().Reset();
  }
  Task<void> Check() override {
    if (fails()) {
      if (returned()) EXPECT_EQ(ErrnoOf(status), ECONNREFUSED) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    if (is_short()) {
      EXPECT_EQ(full->AcceptNow().get() >= 0, returned());
      co_return;
    }
    if (!mine.has_value()) co_await ExpectNoConnection(*listener);
    if (!mine.has_value()) mine.emplace((co_await UnixStream::Connect(name)).value());
    UnixStream server = (co_await listener->Accept()).value();
    co_await ExpectConnected(*mine, server);
  }

 private:
  const SocketAddress name = NewUnixName();
  std::optional<UnixListener> listener;
  std::optional<PlainListener> full;
  UniqueDescriptor first;
  absl::Status status;
  std::optional<UnixStream> mine;
};

}  // namespace

void AddConnections(std::vector<Row>& rows) {
  rows.push_back(RowOf<AcceptTrial<TcpListener, TcpStream>>("TcpListener::Accept"));
  rows.push_back(RowOf<TcpConnectTrial>("TcpStream::Connect"));
  rows.push_back(RowOf<ConnectToAnyTrial>("net::ConnectToAny"));
  rows.push_back(RowOf<AcceptTrial<UnixListener, UnixStream>>("UnixListener::Accept"));
  rows.push_back(RowOf<UnixConnectTrial>("UnixStream::Connect"));
}

}  // namespace weft::testing
