// An HTTP/1.1 client: a connection that is kept alive, and a pool of them for each upstream.
//
//   http::Pool orders(address, {.max_connections = 256});
//   absl::StatusOr<http::Response> answer = co_await orders.Call(request);
//
// For a time limit, call it inside weft::WithTimeout. A call that is cancelled closes its connection, which tells the
// server. An error status means that there was no answer. Callers must look at Response::status themselves, also for a
// 500.
#ifndef WEFT_EXAMPLES_HTTP_CLIENT_H_
#define WEFT_EXAMPLES_HTTP_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/http/any_stream.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "weft/weft.h"

namespace http {

// Whether a socket has bytes to read, or has been closed by the other side, or is broken. Does not wait.
bool HasInput(int fd);

// One connection, for one call at a time.
class ClientConnection {
 public:
  // Over any stream: of TLS, for https. `host` is what the server is told (Host). Destroying it closes the stream; to
  // say the end before, as TLS does, await stream().ShutdownWrite().
  ClientConnection(AnyStream stream, std::string host, Limits limits = {})
      : stream_(std::move(stream)), host_(std::move(host)), parser_(limits) {}
  static weft::Task<absl::StatusOr<ClientConnection>> Connect(weft::net::SocketAddress address, Limits limits = {});

  // Sends the request and waits for the answer. kInvalidArgument unless IsOneRequest().
  weft::Task<absl::StatusOr<Response>> Call(const Request& request);
  // The halves of Call(): any number of requests sent, then as many responses received, is pipelining.
  weft::Task<absl::Status> Send(const Request& request);
  // A Receive() that is cancelled has lost nothing: the next one goes on.
  weft::Task<absl::StatusOr<Response>> Receive();

  // Every call has had its answer, and the server lets the connection live.
  bool reusable() const { return reusable_ && owed_.empty() && unparsed_.empty(); }
  // There is something to read: since nobody has asked, an answer too many, or the end. It must not be reused then, or
  // its next caller has another's answer. Only a connection of Connect() can tell; of another one this is true.
  bool readable() const { return HasInput(fd_); }
  // Some of the answer to the last call has come.
  bool answer_begun() const { return answer_begun_; }
  AnyStream& stream() { return stream_; }

 private:
  AnyStream stream_;
  int fd_ = -1;  // of Connect()
  std::string host_;
  ResponseParser parser_;
  std::string unparsed_;   // has been read, and the parser has not had it
  std::deque<bool> owed_;  // requests sent and not answered: whether each is a HEAD
  bool reusable_ = true;
  bool answer_begun_ = false;
};

struct PoolOptions {
  int64_t max_connections = 256;  // in use and kept alive together; further calls wait, in their order
  Limits limits{};
};

struct PoolStats {
  int64_t open = 0;  // connections in use or kept alive
  int64_t peak_open = 0;
  int64_t opened = 0;  // ever
  int64_t calls = 0;
};

// Connections of TCP to one upstream. Outlives its calls. (Of TLS there are none: before a connection is used again the
// pool looks, without waiting, whether something has come that nobody asked for, and a tls::Stream may have that within
// itself.)
class Pool {
 public:
  explicit Pool(weft::net::SocketAddress address, PoolOptions options = {});
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Takes a kept connection, or opens one. A kept connection that has something to read is dropped; one that turns out
  // later to have been closed by the server is replaced, once, if the request may be sent again: that is, if its method
  // is idempotent (GET, HEAD, PUT, DELETE, OPTIONS, TRACE: RFC 9110, 9.2.2). The request outlives the call.
  weft::Task<absl::StatusOr<Response>> Call(const Request& request);

  PoolStats stats() const;
  const weft::net::SocketAddress& address() const { return address_; }

 private:
  class Lease;
  std::optional<ClientConnection> TakeKept();
  weft::Task<absl::StatusOr<Response>> CallPermitted(const Request& request);
  weft::Task<absl::StatusOr<Response>> CallOn(ClientConnection connection, const Request& request, bool* stale);

  const weft::net::SocketAddress address_;
  const PoolOptions options_;
  weft::Semaphore permits_;  // one a connection in use; released after the connection is kept or closed

  mutable std::mutex mutex_;
  std::vector<ClientConnection> kept_;  // guarded by mutex_; the last used is the first reused
  PoolStats stats_;                     // guarded by mutex_
};

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_CLIENT_H_
