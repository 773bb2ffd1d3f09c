// An address at which nobody listens, for as long as this lives: a socket is bound to it that takes nothing.
//
//   const Nobody nobody;                         // of 127.0.0.1
//   const Nobody other("[::1]:0", SOCK_DGRAM);
//   absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(nobody.address());  // ECONNREFUSED
//
// The address of a socket that has been closed may be another process's a moment later. A TcpListener of this one may
// be bound to it meanwhile: when that is closed, nobody listens again.
#ifndef WEFT_TESTS_SUPPORT_NOBODY_H_
#define WEFT_TESTS_SUPPORT_NOBODY_H_

#include <sys/socket.h>

#include <string>

#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"

namespace weft::testing {

class Nobody {
 public:
  explicit Nobody(const std::string& text = "127.0.0.1:0", int type = SOCK_STREAM)
      : Nobody(*net::SocketAddress::Parse(text), type) {}
  Nobody(const net::SocketAddress& wanted, int type)
      : socket_(Open(wanted.family(), type)),
        bound_(internal::Sys().bind(socket_.get(), wanted.data(), wanted.size()) == 0) {
    // Connected to itself, a socket of datagrams takes those of nobody else.
    const net::SocketAddress self = address();
    if (type == SOCK_DGRAM) EXPECT_EQ(internal::Sys().connect(socket_.get(), self.data(), self.size()), 0);
  }

  // Was the port that was asked for free?
  bool bound() const { return bound_; }
  net::SocketAddress address() const {
    sockaddr_storage address;
    socklen_t size = sizeof(address);
    EXPECT_EQ(internal::Sys().getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return *net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
  }

 private:
  static int Open(int family, int type) {
    const int fd = internal::Sys().socket(family, type | SOCK_CLOEXEC, 0);
    const int yes = 1;
    EXPECT_EQ(internal::Sys().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
    return fd;
  }

  const io::UniqueDescriptor socket_;
  const bool bound_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_NOBODY_H_
