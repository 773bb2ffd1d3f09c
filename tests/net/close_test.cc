// Goal: whoever closes a socket ends what is pending on it, whatever that is, however and by whom it is closed, on both
// backends; the peer sees the end; no number is given out anew before that; and the port is free.
// Method: tables over what is pending, how it is ended, and by which thread. The main of the tests counts descriptors.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "lib/io/open_descriptor.h"
#include "lib/net/socket_awaiters.h"
#include "tests/net/accept_queue.h"
#include "tests/net/on_backends.h"
#include "tests/support/nobody.h"
#include "tests/support/on_both.h"
#include "weft/internal/descriptor.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using net::IsClosed;
using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

class CloseTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(CloseTest);

TcpListener Listen() { return TcpListener::Bind("127.0.0.1:0").value(); }

struct Connected {
  TcpStream client;
  TcpStream server;
};
Task<Connected> Connect() {
  TcpListener listener = Listen();
  TcpStream client = (co_await TcpStream::Connect(*listener.local_address())).value();
  co_return Connected{std::move(client), (co_await listener.Accept()).value()};
}

// ---- The table.

enum class What { kRead, kReadExactly, kWrite, kAccept };
constexpr What kEverything[] = {What::kRead, What::kReadExactly, What::kWrite, What::kAccept};
enum class How { kClose, kShutdown, kDestroy, kMoveOnto };
constexpr How kEveryWay[] = {How::kClose, How::kShutdown, How::kDestroy, How::kMoveOnto};
enum class Who { kVirtualThread, kOsThread };
constexpr Who kEverybody[] = {Who::kVirtualThread, Who::kOsThread};

// A stream or a listener, and what somebody else would put in its place.
template <class Socket>
struct Subject {
  std::optional<Socket> socket;
  std::optional<Socket> other;

  void End(How how, Who who) {
    if (who == Who::kOsThread) {
      std::thread([this, how] { EndNow(how); }).join();
    } else {
      EndNow(how);
    }
  }

 private:
  void EndNow(How how) {
    switch (how) {
      case How::kClose:
        socket->Close();
        socket->Close();
        break;
      case How::kShutdown:
        socket->Shutdown();
        socket->Shutdown();
        break;
      case How::kDestroy:
        socket.reset();
        break;
      case How::kMoveOnto:
        *socket = *std::move(other);
        break;
    }
  }
};

Task<absl::Status> Use(What what, TcpStream& stream) {
  char buffer[16];
  if (what == What::kRead) co_return (co_await stream.Read(absl::MakeSpan(buffer))).status();
  if (what == What::kReadExactly) co_return co_await stream.ReadExactly(absl::MakeSpan(buffer));
  static const std::string data(16'000'000, 'x');  // more than the kernel takes
  co_return co_await stream.Write(data);
}
Task<absl::Status> Use(What, TcpListener& listener) { co_return (co_await listener.Accept()).status(); }

void ExpectEnded(What what, How how, const absl::Status& status) {
  if (how != How::kShutdown || what == What::kAccept) {
    EXPECT_TRUE(IsClosed(status)) << status;
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    return;
  }
  EXPECT_FALSE(IsClosed(status)) << status;
  if (what == What::kRead) EXPECT_TRUE(status.ok()) << status;
  if (what == What::kReadExactly) EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
  if (what == What::kWrite) EXPECT_EQ(ErrnoOf(status), EPIPE) << status;
}

Task<void> ExpectEndOfStream(TcpStream& peer) {
  std::vector<char> buffer(1 << 20);
  for (;;) {
    absl::StatusOr<size_t> got = co_await peer.Read(absl::MakeSpan(buffer));
    if (!got.ok()) EXPECT_EQ(ErrnoOf(got.status()), ECONNRESET) << got.status();
    if (!got.ok() || *got == 0) co_return;
  }
}

// Ends `subject` while another virtual thread waits in `what`, or before it begins; where the object is gone, it cannot
// begin.
template <class Socket>
Task<void> EndUnderUse(Subject<Socket>& subject, What what, How how, Who who) {
  Introduction user;
  absl::Status ended;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> {
    user.Make();
    ended = co_await Use(what, *subject.socket);
  });
  co_await user.AwaitParked();
  subject.End(how, who);
  (co_await scope.Join()).IgnoreFailures();
  ExpectEnded(what, how, ended);
  if (how == How::kClose) EXPECT_FALSE(subject.socket->is_open());
  if (how == How::kShutdown) EXPECT_TRUE(subject.socket->is_open());
  if (how == How::kMoveOnto) EXPECT_TRUE(subject.socket->local_address().ok());
  if (how == How::kClose || how == How::kShutdown) ExpectEnded(what, how, co_await Use(what, *subject.socket));
}

TEST_P(CloseTest, WhatIsPendingEndsAndThePeerSeesTheEnd) {
  for (const What what : kEverything) {
    for (const How how : kEveryWay) {
      for (const Who who : kEverybody) {
        SCOPED_TRACE(::testing::Message() << "what " << static_cast<int>(what) << " how " << static_cast<int>(how)
                                          << " who " << static_cast<int>(who));
        Everywhere([what, how, who]() -> Task<void> {
          if (what == What::kAccept) {
            const Nobody nobody;
            const SocketAddress address = nobody.address();
            Subject<TcpListener> subject{TcpListener::Bind(address).value(), Listen()};
            co_await EndUnderUse(subject, what, how, who);
            EXPECT_EQ(ErrnoOf((co_await TcpStream::Connect(address)).status()), ECONNREFUSED);
            co_return;
          }
          auto [peer, server] = co_await Connect();
          auto [other_peer, other] = co_await Connect();
          Subject<TcpStream> subject{std::move(server), std::move(other)};
          co_await EndUnderUse(subject, what, how, who);
          co_await ExpectEndOfStream(peer);
        });
      }
    }
  }
}

TEST_P(CloseTest, SeveralThatWaitForTheSameAllEnd) {
  Everywhere([]() -> Task<void> {
    constexpr int kWaiters = 70;
    TcpListener listener = Listen();
    Introduction accepting[kWaiters];
    std::atomic<int> ended{0};
    AwaitAll scope;
    for (Introduction& each : accepting) {
      scope.Fork([&]() -> Task<void> {
        each.Make();
        EXPECT_TRUE(IsClosed((co_await listener.Accept()).status()));
        ++ended;
      });
      co_await each.AwaitParked();
    }
    listener.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(ended, kWaiters);
    EXPECT_FALSE(listener.is_open());
  });
}

TEST_P(CloseTest, ReadAndWriteOfOneStreamBothEnd) {
  Everywhere([]() -> Task<void> {
    auto [peer, server] = co_await Connect();
    Introduction reading;
    Introduction writing;
    AwaitAll scope;
    scope.Fork([&reading, &server]() -> Task<void> {
      reading.Make();
      EXPECT_TRUE(IsClosed(co_await Use(What::kRead, server)));
    });
    scope.Fork([&writing, &server]() -> Task<void> {
      writing.Make();
      EXPECT_TRUE(IsClosed(co_await Use(What::kWrite, server)));
    });
    co_await reading.AwaitParked();
    co_await writing.AwaitParked();
    server.Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(server.is_open());
    co_await ExpectEndOfStream(peer);
  });
}

// A thread that is cancelled and whose socket is closed ends once, and its scope joins.
TEST_P(CloseTest, ACloseMeetsACancellation) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 9; ++i) {
      auto [peer, server] = co_await Connect();
      AwaitAll scope;
      scope.Fork([&server]() -> Task<void> {
        for (;;) (co_await Use(What::kRead, server)).IgnoreError();
      });
      scope.Fork([&server]() -> Task<void> {
        server.Close();
        co_return;
      });
      for (int j = 0; j < i % 3; ++j) co_await Yield();
      scope.Shutdown();
      (co_await scope.Join()).IgnoreFailures();
    }
  });
}

// Reads that begin while others close: none is left waiting, and none reads from a stranger.
TEST_P(CloseTest, ACloseMeetsOperationsThatBegin) {
  Everywhere([]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      auto [peer, server] = co_await Connect();
      AwaitAll scope;
      scope.Fork([&server]() -> Task<void> {
        for (;;) {
          char byte;
          absl::StatusOr<size_t> got = co_await server.Read({&byte, 1});
          if (got.ok() && *got == 1) continue;
          EXPECT_TRUE(IsClosed(got.status())) << got.status();
          co_return;
        }
      });
      scope.Fork([&server]() -> Task<void> {
        absl::Status sent;
        while (sent.ok()) sent = co_await server.Write("y");
        EXPECT_TRUE(IsClosed(sent)) << sent;
      });
      scope.Fork([&peer]() -> Task<void> {
        char bytes[64];
        for (absl::StatusOr<size_t> got = 1; got.ok() && *got > 0;) {
          (co_await peer.Write("x")).IgnoreError();
          got = co_await peer.Read(absl::MakeSpan(bytes));
        }
      });
      scope.Fork([&server, i]() -> Task<void> {
        for (int j = 0; j < i % 5; ++j) co_await Yield();
        server.Close();
      });
      (co_await scope.Join()).IgnoreFailures();
      EXPECT_FALSE(server.is_open());
    }
  });
}

TEST_P(CloseTest, ThereIsNoNumberAfterACloseAlsoWhileAReadIsPending) {
  Everywhere([]() -> Task<void> {
    auto [peer, server] = co_await Connect();
    Introduction reading;
    AwaitAll scope;
    scope.Fork([&reading, &server]() -> Task<void> {
      reading.Make();
      EXPECT_TRUE(IsClosed(co_await Use(What::kRead, server)));
    });
    co_await reading.AwaitParked();
    EXPECT_GE(server.native_handle(), 0);
    server.Close();
    EXPECT_EQ(server.native_handle(), -1);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(CloseTest, AStreamMayMoveWhileItIsReadFrom) {
  Everywhere([]() -> Task<void> {
    auto [peer, server] = co_await Connect();
    Introduction reading;
    AwaitAll scope;
    scope.Fork([&reading, &server]() -> Task<void> {
      reading.Make();
      char byte = 0;
      EXPECT_TRUE((co_await server.ReadExactly({&byte, 1})).ok());
      EXPECT_EQ(byte, 'm');
    });
    co_await reading.AwaitParked();
    TcpStream moved = std::move(server);
    EXPECT_FALSE(server.is_open());
    EXPECT_TRUE(moved.is_open());
    server.Close();
    EXPECT_TRUE((co_await peer.Write("m")).ok());
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(CloseTest, WhatIsClosedSaysSoInEveryCall) {
  Everywhere([]() -> Task<void> {
    auto [peer, server] = co_await Connect();
    TcpListener listener = Listen();
    listener.Close();
    server.Close();
    EXPECT_TRUE(IsClosed(server.ShutdownWrite()));
    EXPECT_TRUE(IsClosed(server.local_address().status()));
    EXPECT_TRUE(IsClosed(server.peer_address().status()));
    EXPECT_TRUE(IsClosed(listener.local_address().status()));
    server.Shutdown();
    listener.Shutdown();
    EXPECT_TRUE(IsClosed((co_await server.Read({})).status())) << "also of nothing";
    EXPECT_TRUE(IsClosed(co_await server.Write({})));
    EXPECT_TRUE(IsClosed(co_await server.ReadExactly({})));
  });
}

// ---- Numbers: on sockets whose number is known, and a connect, which nobody can close from outside the library.

struct Raw {
  internal::Socket socket;
  int fd;
};
Raw Own(int fd) {
  Raw raw{internal::Socket::Empty(), fd};
  raw.socket.Open(fd);
  return raw;
}

// Is `fd` the number of an open file?
bool IsTaken(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

enum class Pending { kReceive, kSend, kAccept, kConnect };
constexpr Pending kEveryPending[] = {Pending::kReceive, Pending::kSend, Pending::kAccept, Pending::kConnect};

constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

// A socket on which an operation waits, and the sockets that it takes to make it wait.
struct Stuck {
  explicit Stuck(Pending what) : pending(what) {
    int fds[2];
    if (what == Pending::kReceive || what == Pending::kSend) {
      EXPECT_EQ(::socketpair(AF_UNIX, kType, 0, fds), 0);
      raw = Own(fds[0]);
      others.push_back(Own(fds[1]));
      if (what == Pending::kSend) Fill(fds[0]);
      return;
    }
    const int listener = ::socket(AF_INET, kType, 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener, 0), 0);
    EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    if (what == Pending::kAccept) {
      raw = Own(listener);
      return;
    }
    others.push_back(Own(listener));
    // With its queue full, of one connection, the listener answers no SYN.
    const int first = ::socket(AF_INET, kType, 0);
    others.push_back(Own(first));
    ::connect(first, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    while (!QueueIsFull(listener)) ::sched_yield();
    raw = Own(::socket(AF_INET, kType, 0));
  }

  Task<int32_t> Wait() {
    char buffer[8] = {};
    switch (pending) {
      case Pending::kReceive:
        co_return co_await internal::ReceiveAwaiter(raw->socket.Use("Read()"), buffer, sizeof(buffer));
      case Pending::kSend:
        co_return co_await internal::SendAwaiter(raw->socket.Use("Write()"), buffer, sizeof(buffer));
      case Pending::kAccept:
        co_return co_await internal::AcceptAwaiter(raw->socket.Use("Accept()"));
      case Pending::kConnect:
        co_return co_await internal::ConnectAwaiter(
            raw->socket.Use("Connect()"),
            SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), sizeof(address)).value());
    }
  }

  static void Fill(int fd) {
    const std::string block(65536, 'f');
    while (::send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
  }

  const Pending pending;
  sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  std::optional<Raw> raw;
  std::vector<Raw> others;
};

TEST_P(CloseTest, ANumberIsGivenBackWhenTheLastOperationHasEndedAndNotBefore) {
  for (const Pending what : kEveryPending) {
    for (const How how : {How::kClose, How::kDestroy, How::kMoveOnto}) {
      SCOPED_TRACE(::testing::Message() << "what " << static_cast<int>(what) << " how " << static_cast<int>(how));
      Everywhere([what, how]() -> Task<void> {
        Stuck stuck(what);
        const int fd = stuck.raw->fd;
        Introduction waiting;
        bool ended = false;
        AwaitAll scope;
        scope.Fork([&]() -> Task<void> {
          waiting.Make();
          EXPECT_EQ(co_await stuck.Wait(), -EBADF);
          ended = true;
        });
        co_await waiting.AwaitParked();
        const internal::DescriptorRef watched = stuck.raw->socket.Share("watching");
        internal::DescriptorUse another(watched.get());  // as of an operation that takes its time
        switch (how) {
          case How::kClose:
            stuck.raw->socket.Close();
            break;
          case How::kDestroy:
            stuck.raw.reset();
            break;
          default:
            stuck.raw->socket = internal::Socket::Empty();
        }
        (co_await scope.Join()).IgnoreFailures();
        EXPECT_TRUE(ended);
        EXPECT_TRUE(watched->is_open());
        EXPECT_TRUE(IsTaken(fd));
        another.Leave();
        EXPECT_FALSE(watched->is_open());
        EXPECT_FALSE(IsTaken(fd));
      });
    }
  }
}

// ---- Ports.

TEST_P(CloseTest, AListenerIsBoundAgainAtOnce) {
  Everywhere([]() -> Task<void> {
    TcpListener listener = Listen();
    const SocketAddress address = *listener.local_address();
    for (int i = 0; i < 5; ++i) {
      // Connections of all kinds are left behind: open, closed here first, in the backlog.
      TcpStream open_client = (co_await TcpStream::Connect(address)).value();
      TcpStream open_server = (co_await listener.Accept()).value();
      TcpStream client = (co_await TcpStream::Connect(address)).value();
      (co_await listener.Accept()).value().Close();
      co_await ExpectEndOfStream(client);
      TcpStream in_backlog = (co_await TcpStream::Connect(address)).value();
      listener.Close();
      EXPECT_FALSE(listener.is_open());
      absl::StatusOr<TcpListener> again = TcpListener::Bind(address);
      EXPECT_TRUE(again.ok()) << again.status();
      if (!again.ok()) co_return;
      listener = *std::move(again);
      EXPECT_TRUE((co_await open_client.Write("x")).ok());
      char byte;
      EXPECT_TRUE((co_await open_server.ReadExactly({&byte, 1})).ok());
    }
  });
}

TEST_P(CloseTest, UnderAnAcceptAListenerIsBoundAgainOnceItIsClosedOrAtOnceAfterAShutdown) {
  for (const bool shutdown : {false, true}) {
    Everywhere([shutdown]() -> Task<void> {
      const Nobody nobody;  // the port stays ours
      const SocketAddress address = nobody.address();
      TcpListener listener = TcpListener::Bind(address).value();
      Introduction accepting;
      AwaitAll scope;
      scope.Fork([&]() -> Task<void> {
        accepting.Make();
        EXPECT_TRUE(IsClosed((co_await listener.Accept()).status()));
      });
      co_await accepting.AwaitParked();
      if (shutdown) {
        listener.Shutdown();
      } else {
        listener.Close();
        while (listener.is_open()) co_await Yield();
      }
      absl::StatusOr<TcpListener> again = TcpListener::Bind(address);
      EXPECT_TRUE(again.ok()) << again.status();
      (co_await scope.Join()).IgnoreFailures();
      if (again.ok()) {
        TcpStream client = (co_await TcpStream::Connect(address)).value();
        EXPECT_TRUE((co_await again->Accept()).ok());
      }
    });
  }
}

TEST(ReusePortTest, BothListenersHaveToAskForIt) {
  for (const bool first : {false, true}) {
    for (const bool second : {false, true}) {
      const TcpListener one = TcpListener::Bind("127.0.0.1:0", {.reuse_port = first}).value();
      const absl::StatusOr<TcpListener> two = TcpListener::Bind(*one.local_address(), {.reuse_port = second});
      EXPECT_EQ(two.ok(), first && second) << two.status();
      if (!two.ok()) EXPECT_EQ(ErrnoOf(two.status()), EADDRINUSE);
    }
  }
}

TEST_P(CloseTest, ListenersThatShareAPortShareItsConnectionsAndTheLastOneGetsAll) {
  Everywhere([]() -> Task<void> {
    constexpr int kConnections = 64;
    TcpListener one = TcpListener::Bind("127.0.0.1:0", {.reuse_port = true}).value();
    const SocketAddress address = *one.local_address();
    TcpListener two = TcpListener::Bind(address, {.reuse_port = true}).value();
    int of_one = 0;
    int of_two = 0;
    auto count = [](TcpListener& listener, int& accepted) -> Task<void> {
      for (;;) {
        absl::StatusOr<TcpStream> stream = co_await listener.Accept();
        if (IsClosed(stream.status())) co_return;
        EXPECT_TRUE(stream.ok()) << stream.status();
        ++accepted;
        EXPECT_TRUE((co_await stream->Write("x")).ok());
      }
    };
    auto visit = [](SocketAddress to) -> Task<void> {
      char byte;
      TcpStream stream = (co_await TcpStream::Connect(to)).value();
      EXPECT_TRUE((co_await stream.ReadExactly({&byte, 1})).ok());
    };
    AwaitAll scope;
    scope.Fork(count(one, of_one));
    {
      AwaitAll other;
      other.Fork(count(two, of_two));
      for (int i = 0; i < kConnections; ++i) co_await visit(address);
      two.Close();
      (co_await other.Join()).IgnoreFailures();
    }
    const int together = of_two;
    EXPECT_GT(of_two, 0);
    for (int i = 0; i < kConnections; ++i) co_await visit(address);
    one.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_GT(of_one, kConnections) << "it had a share before";
    EXPECT_EQ(of_two, together);
    EXPECT_EQ(of_one + of_two, 2 * kConnections);
  });
}

}  // namespace
}  // namespace weft::testing
