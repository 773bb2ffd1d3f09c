// Layer testing. What is asked of the machine's sockets?
//
// The system calls of sockets, and the options, most of which are stored and otherwise without effect. What a kind of
// socket does not do, its functions here refuse. (stream_socket.h, datagram_socket.h)
#ifndef WEFT_LIB_TESTING_MACHINE_SOCKET_H_
#define WEFT_LIB_TESTING_MACHINE_SOCKET_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/testing/machine/byte_queue.h"
#include "lib/testing/machine/open_object.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

// What a recvmsg(2) gives beside the bytes.
struct Received {
  std::optional<net::SocketAddress> sender = std::nullopt;
  Rights rights = {};
  bool truncated = false;
};

class Socket : public OpenObject, public std::enable_shared_from_this<Socket> {
 public:
  Socket(int family, int type, int flags) noexcept : OpenObject(O_RDWR | flags), family_(family), type_(type) {}

  Socket* AsSocket() noexcept final { return this; }
  int family() const noexcept { return family_; }
  int type() const noexcept { return type_; }
  bool is_unix() const noexcept { return family_ == AF_UNIX; }
  // Where it is bound, unmapped (mapped_address.h); nothing until then.
  const std::optional<net::SocketAddress>& name() const noexcept { return name_; }
  virtual void SetName(const net::SocketAddress& name) { name_ = name; }

  virtual int Listen(int) { return -EOPNOTSUPP; }
  virtual int Connect(const net::SocketAddress& peer) = 0;
  // The accepted socket.
  virtual int Accept(std::shared_ptr<Socket>&) { return -EOPNOTSUPP; }
  // `to`: msg_name.
  virtual int64_t Send(Parts from, Rights rights, const std::optional<net::SocketAddress>& to) = 0;
  // `flags`: MSG_PEEK, MSG_TRUNC.
  virtual int64_t Receive(Parts into, int flags, Received& received) = 0;
  virtual int ShutDown(int how) = 0;
  virtual std::optional<net::SocketAddress> peer() const = 0;  // unmapped, too
  virtual int TakeError() noexcept { return 0; }
  // Does a connection of its own end, as by a router that has forgotten it?
  virtual void Break() {}

  int64_t Read(Parts into) override {
    Received ignored;
    return Receive(into, 0, ignored);
  }
  int64_t Write(Parts from) override { return Send(from, {}, std::nullopt); }

  // ---- Options. An integer, or any other bytes.
  virtual int SetOption(int level, int option, const void* value, socklen_t size) {
    options_[{level, option}].assign(static_cast<const char*>(value), size);
    return 0;
  }
  int IntegerOption(int level, int option) const noexcept {
    int value = 0;
    const auto found = options_.find({level, option});
    if (found == options_.end()) return value;
    std::memcpy(&value, found->second.data(), std::min(sizeof(value), found->second.size()));
    return value;
  }

 private:
  const int family_;
  const int type_;
  std::optional<net::SocketAddress> name_;
  std::map<std::pair<int, int>, std::string> options_;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_SOCKET_H_
