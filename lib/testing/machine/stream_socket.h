// Layer testing. Sockets of streams: TCP, and Unix.
//
//   kNew --Connect()--> kConnecting --> kJustConnected --Connect()--> kConnected
//    |                       '--> kNew, with an error
//    '----Listen()----> kListening --ShutDown()--> kNew
//
// A TCP client knocks at its server's host after a delay, and learns the answer after another. Nobody there: it is
// refused. No answer, because the hosts do not reach each other or the server's queue is full: it knocks again after
// 1 s, 2 s and so on, seven times, and gives up after about two minutes of virtual time.
#ifndef WEFT_LIB_TESTING_MACHINE_STREAM_SOCKET_H_
#define WEFT_LIB_TESTING_MACHINE_STREAM_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "lib/testing/machine/connection.h"
#include "lib/testing/machine/network.h"
#include "lib/testing/machine/socket.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

class StreamSocket final : public Socket, private ConnectionOwner {
 public:
  // `type` is SOCK_STREAM or SOCK_SEQPACKET; the latter finds out whether a name is in use, and nothing more.
  StreamSocket(Network& network, int family, int type, int flags) noexcept
      : Socket(family, type, flags), network_(network) {}
  ~StreamSocket() override;
  // socketpair(2)
  static void Join(StreamSocket& one, StreamSocket& other);

  std::string Describe() const override;
  uint32_t Readiness() const noexcept override;
  int Listen(int backlog) override;
  int Connect(const net::SocketAddress& peer) override;
  int Accept(std::shared_ptr<Socket>& accepted) override;
  int64_t Send(Parts from, Rights rights, const std::optional<net::SocketAddress>& to) override;
  int64_t Receive(Parts into, int flags, Received& received) override;
  int ShutDown(int how) override;
  std::optional<net::SocketAddress> peer() const override;
  int TakeError() noexcept override;
  void Break() override;
  int SetOption(int level, int option, const void* value, socklen_t size) override;

 private:
  enum class State : uint8_t { kNew, kListening, kConnecting, kJustConnected, kConnected };

  // An end of a connection, which keeps it.
  struct Place {
    std::shared_ptr<Connection> connection;
    ConnectionEnd* end = nullptr;
  };

  void OnChange(uint32_t ready) override { TellReady(ready); }
  void Take(Place place);
  void SizeBuffer() noexcept;
  bool HasRoom() const noexcept { return waiting_.size() <= static_cast<size_t>(backlog_); }
  void Welcome(Place place);
  void Refuse() noexcept;

  int ConnectUnix(const net::SocketAddress& peer);
  int ConnectTcp(const net::SocketAddress& peer);
  void KnockAfterDelay(int64_t delay_ns);
  void Knock();
  void KnockAgain();
  void Answer(int error, Place place);
  void Fail(int error);

  Network& network_;
  State state_ = State::kNew;
  Place place_;  // while connected
  int error_ = 0;
  int backlog_ = 0;
  std::deque<Place> waiting_;  // for an Accept()
  std::optional<net::SocketAddress> wanted_;  // while it connects
  int knocks_ = 0;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_STREAM_SOCKET_H_
