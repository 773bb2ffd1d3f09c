// Layer testing. How does a TCP client get through to its server?
//
// By chance the dial fails, whoever is there. Otherwise it knocks at the server's host after a delay, and learns the
// answer after another. Nobody there: it is refused. No answer, because the hosts do not reach each other or the
// server's queue is full: it knocks again after 1 s, 2 s and so on, seven times in all, and gives up after 127 s of
// virtual time.
#ifndef WEFT_LIB_TESTING_MACHINE_TCP_DIAL_H_
#define WEFT_LIB_TESTING_MACHINE_TCP_DIAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "lib/testing/machine/connection.h"
#include "lib/testing/machine/network.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

// Its owner, the client's socket, may destroy it at any time; then nobody is answered.
class TcpDial : public std::enable_shared_from_this<TcpDial> {
 public:
  // Called once: an errno, or 0 and the client's end.
  using Answered = std::function<void(int error, ConnectionPlace place)>;

  TcpDial(Network& network, const net::SocketAddress& from, const net::SocketAddress& to, Answered answered)
      : network_(network), from_(from), to_(to), answered_(std::move(answered)) {}

  void Begin();
  const net::SocketAddress& to() const noexcept { return to_; }

 private:
  void KnockAfter(int64_t delay_ns);
  void Knock();
  void KnockAgain();
  void AnswerAfterDelay(int error, ConnectionPlace place);

  Network& network_;
  const net::SocketAddress from_;
  const net::SocketAddress to_;
  const Answered answered_;
  int knocks_ = 0;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_TCP_DIAL_H_
