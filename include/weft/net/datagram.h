// Datagram: what a socket of datagrams has received. (udp_socket.h, unix_datagram.h)
#ifndef WEFT_NET_DATAGRAM_H_
#define WEFT_NET_DATAGRAM_H_

#include "weft/internal/compiler.h"

#include <cstddef>

#include "weft/net/socket_address.h"

namespace weft::net {

struct Datagram {
  size_t size;     // bytes in the buffer; 0 is a message, too
  bool truncated;  // it was longer than the buffer: the rest is lost
  SocketAddress sender;
};

}  // namespace weft::net

#endif  // WEFT_NET_DATAGRAM_H_
