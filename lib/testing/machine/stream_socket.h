// Layer testing. Sockets of streams: TCP, and Unix.
//
//   kNew --Connect()--> kConnecting --> kJustConnected --Connect()--> kConnected
//    |                       '--> kNew, with an error
//    '----Listen()----> kListening --ShutDown()--> kShut
//
// Unix sockets connect at once. TCP's take their time. (tcp_dial.h)
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
#include "lib/testing/machine/tcp_dial.h"
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
  // Who listens at that address; null: nobody.
  static std::shared_ptr<StreamSocket> FindListener(const Network& network, const net::SocketAddress& address);
  // A listener: is there room for one more who waits for an Accept()? Then that one may be welcomed.
  bool HasRoom() const noexcept { return waiting_.size() <= static_cast<size_t>(backlog_); }
  void Welcome(ConnectionPlace place);

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
  enum class State : uint8_t { kNew, kListening, kShut, kConnecting, kJustConnected, kConnected };

  void OnChange(uint32_t ready) override { TellReady(ready); }
  void Take(ConnectionPlace place);
  // Those that mean something to a connection.
  void ApplyOptions();
  void Refuse() noexcept;
  int ConnectUnix(const net::SocketAddress& peer);
  int ConnectTcp(const net::SocketAddress& peer);
  void Answered(int error, ConnectionPlace place);

  Network& network_;
  State state_ = State::kNew;
  ConnectionPlace place_;  // while connected
  int error_ = 0;
  int backlog_ = 0;
  std::deque<ConnectionPlace> waiting_;  // for an Accept()
  std::shared_ptr<TcpDial> dial_;        // while it connects
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_STREAM_SOCKET_H_
