// Layer testing. How does a stream of bytes get from one socket to another?
//
// A connection has two ends. What is sent at one goes into the queue of the other: at once between Unix sockets; after
// a delay by chance over TCP, in the order in which it was sent. It is sent again, at longer and longer intervals, if
// the hosts do not reach each other by then; after 15 min 25 s of virtual time the connection is given up.
//
// An end outlives its socket, as in Linux: what a socket has sent arrives after its close, and what comes for one that
// is closed is answered by a reset.
//
//   an end          is set by                                      and means
//   finished        the peer's ShutDown(SHUT_WR) or Close()        no more bytes come
//   write_shut      ShutDown(SHUT_WR); Unix: the peer's SHUT_RD    no more bytes go
//   reset           a reset, a Close() with bytes unread           neither, and `error` says why, once
//
// The sender's room is what the receiver has not read, subtracted from its buffer. TCP tells a sender that waits about
// new room after a delay, too.
#ifndef WEFT_LIB_TESTING_MACHINE_CONNECTION_H_
#define WEFT_LIB_TESTING_MACHINE_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "lib/testing/machine/byte_queue.h"
#include "lib/testing/machine/keep_alive.h"
#include "lib/testing/machine/open_object.h"
#include "lib/testing/machine/surroundings.h"
#include "weft/net/socket_address.h"

namespace weft::internal::machine {

class Connection;

// The socket of an end, to be told what has changed.
class ConnectionOwner {
 public:
  virtual void OnChange(uint32_t ready) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class ConnectionEnd {
 public:
  ConnectionEnd(const ConnectionEnd&) = delete;
  ConnectionEnd& operator=(const ConnectionEnd&) = delete;

  void SetOwner(ConnectionOwner* owner) noexcept { owner_ = owner; }
  const net::SocketAddress& local() const noexcept { return local_; }
  const net::SocketAddress& remote() const noexcept { return peer_->local_; }
  void SetBuffer(size_t bytes) noexcept { buffer_bytes_ = bytes; }
  // TCP's only.
  void SetKeepAlive(const KeepAlive::Options& options) { keep_alive_.Set(options); }

  // Has TCP ended, by a reset or in both directions? Its socket has no peer any more; a Unix socket keeps it.
  bool IsOver() const noexcept;

  // As the system calls, for the socket that owns the end.
  uint32_t Readiness() const noexcept;
  int64_t Send(Parts from, Rights rights);
  // Descriptors that came with the bytes are moved to `rights`.
  int64_t Receive(Parts into, bool peek, Rights& rights);
  void ShutDown(int how);
  // `abort`: SO_LINGER of 0.
  void Close(bool abort);
  // SO_ERROR: what has gone wrong, once.
  int TakeError() noexcept;
  // The network breaks the connection, for both sides.
  void Break();

 private:
  friend class Connection;
  friend class KeepAlive;

  // Something under way to this end.
  struct Segment {
    enum class Kind : uint8_t { kBytes, kFinish, kReset, kRoom } kind = Kind::kBytes;
    int64_t arrives_ns = 0;
    std::string data = {};
    Rights rights = {};
  };

  ConnectionEnd(Connection& connection, const net::SocketAddress& local) noexcept
      : connection_(connection), local_(local) {}

  Surroundings& surroundings() const noexcept;
  std::shared_ptr<Connection> Keep() const;
  bool TakesBytes() const noexcept { return !write_shut_ && !reset_; }
  size_t Room() const noexcept;
  void Tell(uint32_t ready);

  // ---- From the other end.
  void Expect(Segment segment);
  void ArriveFirst();
  void Arrive(Segment segment);
  void BecomeReset(int error);
  void GiveUp();

  Connection& connection_;
  ConnectionEnd* peer_ = nullptr;
  const net::SocketAddress local_;
  ConnectionOwner* owner_ = nullptr;  // null: not accepted yet, or closed
  bool closed_ = false;
  size_t buffer_bytes_;
  ByteQueue received_;
  size_t under_way_bytes_ = 0;  // to here
  std::deque<Segment> under_way_;
  int tries_ = 0;  // of the first of these
  bool finished_ = false;
  bool read_shut_ = false;
  bool write_shut_ = false;
  bool reset_ = false;
  bool wants_room_ = false;
  int error_ = 0;
  KeepAlive keep_alive_{*this};
};

// Kept by its sockets, and by what is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `delayed`: TCP; otherwise Unix.
  static std::shared_ptr<Connection> Make(Surroundings& surroundings, bool delayed, const net::SocketAddress& client,
                                          const net::SocketAddress& server) {
    return std::shared_ptr<Connection>(new Connection(surroundings, delayed, client, server));
  }

  ConnectionEnd& client() noexcept { return client_; }
  ConnectionEnd& server() noexcept { return server_; }

 private:
  friend class ConnectionEnd;

  Connection(Surroundings& surroundings, bool delayed, const net::SocketAddress& client,
             const net::SocketAddress& server) noexcept;

  Surroundings& surroundings_;
  const bool delayed_;
  ConnectionEnd client_;
  ConnectionEnd server_;
};

// One of the ends, with what keeps it. Without an end: none.
struct ConnectionPlace {
  std::shared_ptr<Connection> connection = nullptr;
  ConnectionEnd* end = nullptr;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_CONNECTION_H_
