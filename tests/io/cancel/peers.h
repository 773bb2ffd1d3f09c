// What the peers of the table "cancellation x completion" do to their descriptors: at once, and through the table of
// calls.
#ifndef WEFT_TESTS_IO_CANCEL_PEERS_H_
#define WEFT_TESTS_IO_CANCEL_PEERS_H_

#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "weft/io/unique_descriptor.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_stream.h"
#include "weft/net/unix_stream.h"
#include "weft/task.h"
#include "weft/testing/machine.h"

namespace weft::testing {

// Two streams that are connected to each other.
template <class Stream>
Task<std::pair<Stream, Stream>> ConnectedStreams();
template <>
Task<std::pair<net::TcpStream, net::TcpStream>> ConnectedStreams();
template <>
Task<std::pair<net::UnixStream, net::UnixStream>> ConnectedStreams();

// Some of the bytes that a trial writes, from the `begin`-th on. Each depends on its place, so that one that is lost or
// doubled shows.
std::string BytesFrom(size_t begin, size_t count);

// The machine of the case; null: the real one.
inline Machine* machine = nullptr;
// What is under way arrives, or at least gets on.
void LetArrive();
// Returns when the socket has an error that nobody has been told of.
void AwaitError(int fd);

// All of `bytes`, at once.
void SendNow(int fd, std::string_view bytes);
// Same, with a descriptor.
void SendNow(int fd, std::string_view bytes, int descriptor);
// What is there, up to `most` bytes; nothing if nothing is.
std::string TakeNow(int fd, size_t most);
// Sends BytesFrom(0) until there is no room and none will come, and returns how many. Its own buffer is made small.
Task<size_t> Fill(int from, int to);
// Takes so many bytes, which are on their way.
std::string Take(int fd, size_t count);

// An abstract name of a Unix socket, of this process, that was not used before.
net::SocketAddress NewUnixName();
// Any port of 127.0.0.1.
net::SocketAddress AnyPort();

// A listening socket that is nobody's.
class PlainListener {
 public:
  PlainListener(const net::SocketAddress& address, int backlog);
  const net::SocketAddress& address() const noexcept { return address_; }
  int descriptor() const noexcept { return socket_.get(); }
  // Nothing if there is no connection.
  io::UniqueDescriptor AcceptNow();

 private:
  io::UniqueDescriptor socket_;
  net::SocketAddress address_;
};

// A non-blocking socket that is connected, or about to be.
io::UniqueDescriptor ConnectNow(const net::SocketAddress& address);
net::SocketAddress LocalAddressOf(int fd);

// An address of TCP that does not answer: its backlog is full, and what comes is dropped.
class SilentAddress {
 public:
  SilentAddress();
  const net::SocketAddress& address() const noexcept { return address_; }

 private:
  std::optional<PlainListener> listener_;  // none on a machine, where a host may be cut off
  io::UniqueDescriptor client_;
  net::SocketAddress address_;
};

// An address of TCP that refuses: it is taken, and nobody listens.
class RefusingAddress {
 public:
  RefusingAddress();
  const net::SocketAddress& address() const noexcept { return address_; }

 private:
  io::UniqueDescriptor socket_;
  net::SocketAddress address_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_IO_CANCEL_PEERS_H_
