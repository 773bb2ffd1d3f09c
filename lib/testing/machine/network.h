// Layer testing. Which socket has which name?
//
// The names that sockets are bound to: IP addresses with ports, abstract names, and socket files, which go by the
// number of their file. The rules are Linux's: a port is free for another socket if both say SO_REUSEPORT, or, while
// none of them listens, SO_REUSEADDR.
#ifndef WEFT_LIB_TESTING_MACHINE_NETWORK_H_
#define WEFT_LIB_TESTING_MACHINE_NETWORK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/testing/machine/file_system.h"
#include "lib/testing/machine/socket.h"
#include "lib/testing/machine/surroundings.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

class Network {
 public:
  Network(Surroundings& surroundings, FileSystem& files) noexcept : surroundings_(surroundings), files_(files) {}

  // bind(2): 0, or a negative errno.
  int Bind(Socket& socket, const net::SocketAddress& wanted);
  // Binds an IP socket that has no name to a free port of `host`, as connect(2) and sendto(2) do: 0, or -EADDRINUSE.
  int BindToFreePort(Socket& socket, const net::SocketAddress& host);
  void Unbind(Socket& socket) noexcept;

  // Who is bound to `address` and has that type? Among several, one by chance that `accepts` it. Null: nobody.
  template <class Accepts>
  std::shared_ptr<Socket> Find(int type, const net::SocketAddress& address, Accepts accepts) const {
    std::vector<Socket*> able;
    for (Socket* const socket : All(type, address)) {
      if (accepts(*socket)) able.push_back(socket);
    }
    if (able.empty()) return nullptr;
    return able[static_cast<size_t>(surroundings_.chance.Below(able.size()))]->shared_from_this();
  }
  // All of them; those bound to that very address, or else those bound to every address of the host.
  std::vector<Socket*> All(int type, const net::SocketAddress& address) const;
  // Why nobody was found at `address`: the negative errno of connect(2).
  int Reason(const net::SocketAddress& address) const;
  static net::SocketAddress WithPort(const net::SocketAddress& host, uint16_t port);
  static bool IsEveryAddress(const net::SocketAddress& address) noexcept;

  Surroundings& surroundings() noexcept { return surroundings_; }

 private:
  // What names are compared by.
  std::string KeyOf(const net::SocketAddress& address) const;
  // Is `one`, for `socket`, every address of the host, with that of `other`? Those of IPv6 are all of them, except for
  // a socket that serves IPv6 only.
  static bool Covers(const Socket& socket, const net::SocketAddress& one, const net::SocketAddress& other) noexcept;
  bool IsFree(const Socket& socket, const net::SocketAddress& wanted) const;
  int Name(Socket& socket, const net::SocketAddress& name, std::string key);

  Surroundings& surroundings_;
  FileSystem& files_;
  std::multimap<std::string, Socket*> bound_;
  std::map<const Socket*, std::string> keys_;
  uint16_t last_port_ = 0;  // that was given out; 0: none yet
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_NETWORK_H_
