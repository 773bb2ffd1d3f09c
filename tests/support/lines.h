// A line of each kind: a descriptor that is waited for, and its other end, which makes plain system calls, so that a
// simulation knows nothing of it.
//
//   TcpLine::Source source;                      // for all lines of a kind
//   TcpLine line = co_await TcpLine::Open(source);
//   line.Send();                                 // one byte, from the other end
//   EXPECT_TRUE(co_await line.Receive());        // waits for it
#ifndef WEFT_TESTS_SUPPORT_LINES_H_
#define WEFT_TESTS_SUPPORT_LINES_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "weft/io/pipe.h"
#include "weft/io/readiness.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/udp_socket.h"
#include "weft/net/unix_datagram.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"

namespace weft::testing {

// The other end of a TCP connection.
class RawClient {
 public:
  explicit RawClient(const net::SocketAddress& server) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(server.port());
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  RawClient(RawClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { ::close(fd_); }

  void Send() const { EXPECT_EQ(::send(fd_, "x", 1, MSG_NOSIGNAL), 1); }

 private:
  int fd_;
};

class TcpLine {
 public:
  struct Source {
    net::TcpListener listener = net::TcpListener::Bind("127.0.0.1:0").value();
  };
  static Task<TcpLine> Open(Source& source) {
    RawClient client(*source.listener.local_address());
    co_return TcpLine(std::move(client), (co_await source.listener.Accept()).value());
  }
  void Send() const { client_.Send(); }
  Task<bool> Receive() {
    char byte;
    co_return (co_await stream_.Read(absl::MakeSpan(&byte, 1))).value_or(0) == 1;
  }

 private:
  TcpLine(RawClient client, net::TcpStream stream) : client_(std::move(client)), stream_(std::move(stream)) {}

  RawClient client_;
  net::TcpStream stream_;
};

class UnixLine {
 public:
  struct Source {};
  static Task<UnixLine> Open(Source&) { co_return UnixLine(net::UnixStream::Pair().value()); }
  void Send() const { EXPECT_EQ(::send(ends_.first.native_handle(), "x", 1, MSG_NOSIGNAL), 1); }
  Task<bool> Receive() {
    char byte;
    co_return (co_await ends_.second.Read(absl::MakeSpan(&byte, 1))).value_or(0) == 1;
  }

 private:
  explicit UnixLine(std::pair<net::UnixStream, net::UnixStream> ends) : ends_(std::move(ends)) {}

  std::pair<net::UnixStream, net::UnixStream> ends_;
};

class UnixDatagramLine {
 public:
  struct Source {};
  static Task<UnixDatagramLine> Open(Source&) { co_return UnixDatagramLine(net::UnixDatagram::Pair().value()); }
  void Send() const { EXPECT_EQ(::send(ends_.first.native_handle(), "x", 1, MSG_NOSIGNAL), 1); }
  Task<bool> Receive() {
    char byte;
    co_return (co_await ends_.second.ReceiveFrom(absl::MakeSpan(&byte, 1))).ok();
  }

 private:
  explicit UnixDatagramLine(std::pair<net::UnixDatagram, net::UnixDatagram> ends) : ends_(std::move(ends)) {}

  std::pair<net::UnixDatagram, net::UnixDatagram> ends_;
};

class UdpLine {
 public:
  struct Source {};
  static Task<UdpLine> Open(Source&) {
    net::UdpSocket receiver = net::UdpSocket::Bind("127.0.0.1:0").value();
    net::UdpSocket sender = net::UdpSocket::Connect(*receiver.local_address()).value();
    co_return UdpLine(std::move(sender), std::move(receiver));
  }
  void Send() const { EXPECT_EQ(::send(sender_.native_handle(), "x", 1, 0), 1); }
  Task<bool> Receive() {
    char byte;
    co_return (co_await receiver_.ReceiveFrom(absl::MakeSpan(&byte, 1))).ok();
  }

 private:
  UdpLine(net::UdpSocket sender, net::UdpSocket receiver)
      : sender_(std::move(sender)), receiver_(std::move(receiver)) {}

  net::UdpSocket sender_, receiver_;
};

class PipeLine {
 public:
  struct Source {};
  static Task<PipeLine> Open(Source&) { co_return PipeLine(io::MakePipe().value()); }
  void Send() const { EXPECT_EQ(::write(ends_.writer.native_handle(), "x", 1), 1); }
  Task<bool> Receive() {
    char byte;
    co_return (co_await ends_.reader.Read(absl::MakeSpan(&byte, 1))).value_or(0) == 1;
  }

 private:
  explicit PipeLine(io::PipeEnds ends) : ends_(std::move(ends)) {}

  io::PipeEnds ends_;
};

// A descriptor of somebody else's, such as a library's.
class ForeignLine {
 public:
  struct Source {};
  static Task<ForeignLine> Open(Source&) { co_return ForeignLine(); }
  void Send() const { EXPECT_EQ(::eventfd_write(event_.get(), 1), 0); }
  Task<bool> Receive() {
    const bool ready = (co_await io::WaitReadable(event_.get())).ok();
    eventfd_t value;
    co_return ready && ::eventfd_read(event_.get(), &value) == 0;
  }

 private:
  io::UniqueDescriptor event_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_LINES_H_
