#include "examples/http/client.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace http {

namespace {

// Twice has the effect of once. (RFC 9110, 9.2.2)
bool IsIdempotent(std::string_view method) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
  return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

absl::Status CheckRequest(const Request& request) {
  if (IsOneRequest(request)) return absl::OkStatus();
  return absl::InvalidArgumentError("a method or a target with characters that it must not have");
}

}  // namespace

bool HasInput(int fd) {
  char byte = 0;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

weft::Task<absl::StatusOr<ClientConnection>> ClientConnection::Connect(weft::net::SocketAddress address,
                                                                       Limits limits) {
  absl::StatusOr<weft::net::TcpStream> stream = co_await weft::net::TcpStream::Connect(address);
  if (!stream.ok()) co_return stream.status();
  const int fd = stream->native_handle();
  ClientConnection connection(AnyStream(*std::move(stream)), address.ToString(), limits);
  connection.fd_ = fd;
  co_return connection;
}

weft::Task<absl::StatusOr<Response>> ClientConnection::Call(const Request& request) {
  if (absl::Status sent = co_await Send(request); !sent.ok()) co_return sent;
  co_return co_await Receive();
}

weft::Task<absl::Status> ClientConnection::Send(const Request& request) {
  if (absl::Status s = CheckRequest(request); !s.ok()) co_return s;
  owed_.push_back(request.method == "HEAD");  // also if it is cancelled: a connection that owes an answer is not reused
  answer_begun_ = false;
  const std::string bytes = Serialize(request, host_);
  co_return co_await stream_.Write(bytes);
}

weft::Task<absl::StatusOr<Response>> ClientConnection::Receive() {
  parser_.AnswersHead(!owed_.empty() && owed_.front());
  for (char bytes[2048];;) {
    // At once, as the next wait may be cancelled, and the parser must not be fed anything twice.
    unparsed_.erase(0, parser_.Feed(unparsed_));
    if (parser_.state() == ParserState::kFailed) {
      reusable_ = false;
      co_return absl::DataLossError(absl::StrCat("not an HTTP response: ", parser_.failure().reason));
    }
    if (parser_.state() == ParserState::kComplete) {
      Response response = parser_.Take();
      if (response.status == 101) {
        reusable_ = false;
        co_return absl::DataLossError("the server has switched to another protocol, which nobody had asked for");
      }
      if (response.status / 100 == 1) continue;  // informational: the answer is still to come
      reusable_ = reusable_ && response.keep_alive;
      if (!owed_.empty()) owed_.pop_front();
      co_return response;
    }
    absl::StatusOr<size_t> got = co_await stream_.Read(absl::MakeSpan(bytes));
    if (!got.ok()) co_return got.status();
    if (*got == 0) {
      reusable_ = false;
      parser_.FeedEnd();
      if (parser_.state() == ParserState::kComplete) continue;
      co_return absl::UnavailableError("the server closed the connection before it had answered");
    }
    answer_begun_ = true;
    unparsed_.append(bytes, *got);
  }
}

// A connection in use. Afterwards it is kept, or closed.
class Pool::Lease {
 public:
  Lease(Pool& pool, ClientConnection connection) : pool_(pool), connection_(std::move(connection)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    std::lock_guard lock(pool_.mutex_);
    if (connection_.reusable()) {
      pool_.kept_.push_back(std::move(connection_));
    } else {
      --pool_.stats_.open;
    }
  }

  ClientConnection* operator->() { return &connection_; }

 private:
  Pool& pool_;
  ClientConnection connection_;
};

Pool::Pool(weft::net::SocketAddress address, PoolOptions options)
    : address_(address), options_(options), permits_(options.max_connections) {
  kept_.reserve(static_cast<size_t>(options.max_connections));  // a lease ends in a destructor, which must not fail
}

std::optional<ClientConnection> Pool::TakeKept() {
  std::lock_guard lock(mutex_);
  ++stats_.calls;
  while (!kept_.empty()) {
    std::optional<ClientConnection> connection(std::move(kept_.back()));
    kept_.pop_back();
    if (!connection->readable()) return connection;
    --stats_.open;
  }
  return std::nullopt;
}

weft::Task<absl::StatusOr<Response>> Pool::CallOn(ClientConnection connection, const Request& request, bool* stale) {
  Lease lease(*this, std::move(connection));
  absl::StatusOr<Response> response = co_await lease->Call(request);
  *stale = !response.ok() && !lease->answer_begun();
  co_return response;
}

// In two steps, because thousands may wait for the permit: a waiting call is a small frame.
weft::Task<absl::StatusOr<Response>> Pool::Call(const Request& request) {
  if (absl::Status s = CheckRequest(request); !s.ok()) co_return s;
  weft::Permit permit = co_await permits_.Acquire();
  co_return co_await CallPermitted(request);
}

weft::Task<absl::StatusOr<Response>> Pool::CallPermitted(const Request& request) {
  if (std::optional<ClientConnection> kept = TakeKept()) {
    bool stale = false;
    absl::StatusOr<Response> response = co_await CallOn(*std::move(kept), request, &stale);
    if (!stale || !IsIdempotent(request.method)) co_return response;
  }
  absl::StatusOr<ClientConnection> connection = co_await ClientConnection::Connect(address_, options_.limits);
  if (!connection.ok()) co_return connection.status();
  {
    std::lock_guard lock(mutex_);
    ++stats_.opened;
    stats_.peak_open = std::max(stats_.peak_open, ++stats_.open);
  }
  bool stale = false;
  co_return co_await CallOn(*std::move(connection), request, &stale);
}

PoolStats Pool::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace http
