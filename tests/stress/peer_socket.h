// The sockets of a peer process (peer_process.h): plain ones, that do not block.
#ifndef WEFT_TESTS_STRESS_PEER_SOCKET_H_
#define WEFT_TESTS_STRESS_PEER_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "tests/stress/peer_process.h"

namespace weft::testing {

inline sockaddr_in LoopbackAddress(in_addr_t offset, uint16_t port) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  result.sin_addr.s_addr = htonl(INADDR_LOOPBACK + offset);
  return result;
}

// The `number`th connection to 127.0.0.1:`port`, under way. They come from 200 addresses of 127/8, because one address
// has only 28,000 ports for a server. `receive_bytes` is SO_RCVBUF; 0: as the kernel chooses.
inline int StartConnection(uint16_t port, int64_t number, int receive_bytes) {
  constexpr int kAddresses = 200;
  const int fd = Require(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  // The kernel chooses the port when it connects, and only then knows how many are free.
  const int one = 1;
  Require(::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)), "setsockopt");
  if (receive_bytes > 0) {
    Require(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), "setsockopt(SO_RCVBUF)");
  }
  const sockaddr_in source = LoopbackAddress(1 + static_cast<in_addr_t>(number % kAddresses), 0);
  Require(::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof(source)), "bind");
  const sockaddr_in server = LoopbackAddress(0, port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof(server)) != 0 && errno != EINPROGRESS) {
    Require(-1, "connect");
  }
  return fd;
}

// Ends the connection by a reset: the server gets ECONNRESET, not an end.
inline void ResetConnection(int fd) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  Require(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "setsockopt(SO_LINGER)");
  Require(::close(fd), "close");
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_STRESS_PEER_SOCKET_H_
