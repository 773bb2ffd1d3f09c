// Layer testing. Sockets of datagrams: UDP, and Unix.
//
// UDP: a datagram arrives after a delay by chance, so that two may change places; or not at all: by chance, because the
// hosts do not reach each other, or because the receiver has no room. If nobody is there, a sender with a peer is told,
// after another delay: ECONNREFUSED.
//
// Unix: a datagram arrives at once. A receiver that has eleven takes no more: EAGAIN.
#ifndef WEFT_LIB_TESTING_MACHINE_DATAGRAM_SOCKET_H_
#define WEFT_LIB_TESTING_MACHINE_DATAGRAM_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/testing/machine/network.h"
#include "lib/testing/machine/socket.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

class DatagramSocket final : public Socket {
 public:
  DatagramSocket(Network& network, int family, int flags) noexcept
      : Socket(family, SOCK_DGRAM, flags), network_(network) {}
  ~DatagramSocket() override;
  // socketpair(2)
  static void Join(DatagramSocket& one, DatagramSocket& other);

  std::string Describe() const override;
  uint32_t Readiness() const noexcept override;
  int Connect(const net::SocketAddress& wanted) override;
  int64_t Send(Parts from, Rights rights, const std::optional<net::SocketAddress>& to) override;
  int64_t Receive(Parts into, int flags, Received& received) override;
  int ShutDown(int how) override;
  std::optional<net::SocketAddress> peer() const override { return peer_; }
  int TakeError() noexcept override;
  int SetOption(int level, int option, const void* value, socklen_t size) override;

 private:
  struct Message {
    std::string data;
    std::optional<net::SocketAddress> sender;
    Rights rights;
  };

  // May it send to that family? One of IPv6 sends to both.
  bool Speaks(int other_family) const noexcept;
  std::shared_ptr<DatagramSocket> FindUnix(const net::SocketAddress& name) const;
  int64_t SendUnix(Message message, const std::optional<net::SocketAddress>& to);
  int64_t SendUdp(Message message, const std::optional<net::SocketAddress>& to);
  static void Arrive(Network& network, const Message& message, const net::SocketAddress& address,
                     const std::weak_ptr<Socket>& sender);
  // False: there is no room for it.
  bool Take(Message message);
  bool TakesFrom(const net::SocketAddress& sender) const;
  bool IsFull() const noexcept;
  void Fail(int error);

  Network& network_;
  std::optional<net::SocketAddress> peer_;
  std::weak_ptr<DatagramSocket> unix_peer_;
  std::deque<Message> messages_;
  size_t bytes_ = 0;  // of memory that these would take in Linux
  std::vector<std::weak_ptr<DatagramSocket>> wait_for_room_;  // Unix sockets whose peer this is
  std::set<std::string> groups_;  // multicast
  int error_ = 0;
  bool read_shut_ = false;
  bool write_shut_ = false;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_DATAGRAM_SOCKET_H_
