#include "examples/http/server.h"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace http {
namespace {

// A client whose connection is closed may still be sending; closing at once would reset the connection, and the answer
// with it. So what it sends is read for a while.
constexpr absl::Duration kLingerTimeout = absl::Seconds(2);
constexpr size_t kLingerBytes = 16 * 1024 * 1024;
constexpr size_t kPieceBytes = 64 * 1024;  // of a body from a source, read and sent at once

// Counts a connection as open while it lives.
class OpenConnection {
 public:
  explicit OpenConnection(ServerCounters& counters) : counters_(counters) {
    ++counters_.connections;
    const int64_t open = ++counters_.connections_open;
    int64_t peak = counters_.connections_peak.load();
    while (open > peak && !counters_.connections_peak.compare_exchange_weak(peak, open)) {
    }
  }
  OpenConnection(const OpenConnection&) = delete;
  OpenConnection& operator=(const OpenConnection&) = delete;
  ~OpenConnection() { --counters_.connections_open; }

 private:
  ServerCounters& counters_;
};

}  // namespace

// A client's connection: the bytes that have come in but are not parsed yet, and the parser.
class Server::Connection {
 public:
  explicit Connection(const ServerOptions& options)
      : parser_(options.limits),
        max_bytes_(std::max(options.max_ahead_bytes + 1, kBufferBytes)),
        bytes_(kBufferBytes) {}
  virtual ~Connection() = default;

  // The client has sent more than the requests that were parsed.
  bool has_bytes() const { return begin_ < end_ || dropped_; }
  // It has sent so much more that some of it is gone: no request can follow.
  bool dropped() const { return dropped_; }
  RequestParser& parser() { return parser_; }

  // Waits for bytes. kOutOfRange: the client has finished.
  virtual weft::Task<absl::Status> Fill() = 0;
  virtual weft::Task<absl::Status> Write(std::string_view bytes) = 0;

  // Until a request is complete or refused: see parser().state().
  weft::Task<absl::Status> ReadRequest() {
    bool told_to_continue = false;
    for (;;) {
      begin_ += parser_.Feed(std::string_view(bytes_.data() + begin_, end_ - begin_));
      if (begin_ == end_) Empty();
      if (parser_.state() == ParserState::kComplete || parser_.state() == ParserState::kFailed)
        co_return absl::OkStatus();
      if (parser_.ExpectsContinue() && !std::exchange(told_to_continue, true)) {
        if (absl::Status sent = co_await Write("HTTP/1.1 100 Continue\r\n\r\n"); !sent.ok()) co_return sent;
      }
      if (absl::Status filled = co_await Fill(); !filled.ok()) co_return filled;
    }
  }

  // Fails when the client hangs up. Until then keeps what it sends: the requests after this one.
  weft::Task<absl::Status> WatchForHangUp() {
    for (;;) {
      MakeRoom();
      if (absl::Status filled = co_await Fill(); !filled.ok()) co_return filled;
    }
  }

  // Ends our side, and reads what the client still sends until it has seen that.
  weft::Task<void> Linger() {
    if (!(co_await ShutdownWrite()).ok()) co_return;
    for (size_t read = 0; read < kLingerBytes; read += end_) {
      Empty();
      if (!(co_await Fill()).ok()) co_return;
    }
  }

 protected:
  // What Fill() reads into, and what it then returns.
  weft::MutableBuffer room() { return weft::MutableBuffer(bytes_.data() + end_, bytes_.size() - end_); }
  absl::Status Filled(const absl::StatusOr<size_t>& got) {
    if (!got.ok()) return got.status();
    if (*got == 0) return absl::OutOfRangeError("the client hung up");
    end_ += *got;
    return absl::OkStatus();
  }
  virtual weft::Task<absl::Status> ShutdownWrite() = 0;

 private:
  static constexpr size_t kBufferBytes = 1024;  // small, as every connection has one

  void Empty() {
    begin_ = end_ = 0;
    if (bytes_.size() > kBufferBytes) bytes_ = std::vector<char>(kBufferBytes);
  }

  // After which there is room behind end_.
  void MakeRoom() {
    if (end_ < bytes_.size()) return;
    if (begin_ == 0 && bytes_.size() == max_bytes_) {
      dropped_ = true;
      Empty();
    } else if (begin_ == 0) {
      bytes_.resize(std::min(2 * bytes_.size(), max_bytes_));
    } else {
      std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
  }

  RequestParser parser_;
  const size_t max_bytes_;  // of which the last is one too many
  size_t begin_ = 0;
  size_t end_ = 0;
  bool dropped_ = false;
  std::vector<char> bytes_;  // [begin_, end_) is to be parsed
};

// Over a TcpStream itself, which costs nothing, or a reference to an AnyStream.
template <class Stream>
class Server::ConnectionOver final : public Connection {
 public:
  ConnectionOver(Stream&& stream, const ServerOptions& options)
      : Connection(options), stream_(std::forward<Stream>(stream)) {}

  weft::Task<absl::Status> Fill() override { co_return Filled(co_await stream_.Read(room())); }
  weft::Task<absl::Status> Write(std::string_view bytes) override { co_return co_await stream_.Write(bytes); }

 private:
  weft::Task<absl::Status> ShutdownWrite() override {
    if constexpr (std::same_as<Stream, weft::net::TcpStream>) {
      co_return stream_.ShutdownWrite();
    } else {
      co_return co_await stream_.ShutdownWrite();
    }
  }

  Stream stream_;
};

Server::Server(ServerOptions options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)), permits_(options_.max_connections) {}

weft::Task<absl::Status> Server::Serve(weft::net::TcpListener& listener, weft::Event& stop) {
  weft::AwaitAll connections("connections");
  absl::Status ended;
  {
    weft::ShutdownOnFailure accepting("accepting");
    accepting.Fork([&] { return Accept(listener, connections); }, {.name = "acceptor"});
    accepting.Fork([&]() -> weft::Task<void> {
      co_await stop.Wait();
      accepting.Shutdown();
    });
    ended = co_await accepting.Join();
  }
  listener.Close();
  draining_ = true;
  connections.Shutdown();  // unwinds those between requests: the others are shielded
  (co_await connections.Join()).IgnoreFailures();
  co_return ended;
}

weft::Task<absl::Status> Server::Accept(weft::net::TcpListener& listener, weft::AwaitAll& connections) {
  for (;;) {
    weft::Permit permit = co_await permits_.Acquire();
    absl::StatusOr<weft::net::TcpStream> stream = co_await listener.Accept();
    if (!stream.ok()) co_return stream.status();  // the end of the listener: shortages are waited for by Accept()
    connections.Fork([this, p = std::move(permit), s = *std::move(stream)]() mutable {
      return options_.open == nullptr ? ServeOver(std::move(s)) : OpenAndServe(std::move(s));
    });
  }
}

weft::Task<void> Server::OpenAndServe(weft::net::TcpStream accepted) {
  absl::StatusOr<AnyStream> stream =
      co_await weft::WithTimeout(options_.request_timeout, options_.open(std::move(accepted)));
  if (stream.ok()) co_await ServeConnection(*std::move(stream));
}

// A stream of TLS that is closed without having said its end looks cut off.
weft::Task<void> Server::ServeConnection(AnyStream stream) {
  co_await weft::Finally(ServeOver<AnyStream&>(stream), [&]() -> weft::Task<void> {
    (co_await weft::WithTimeout(kLingerTimeout, stream.ShutdownWrite())).IgnoreError();
  });
}

template <class Stream>
weft::Task<void> Server::ServeOver(Stream stream) {
  OpenConnection open(counters_);
  ConnectionOver<Stream> connection(std::forward<Stream>(stream), options_);
  for (bool more = true; more;) {
    if (!connection.has_bytes()) {
      // Between requests: here, and only here, the drain cancels.
      absl::Status begun = co_await weft::WithTimeout(options_.idle_timeout, connection.Fill());
      if (!begun.ok()) co_return;  // nobody waits for an answer
    }
    more = co_await weft::Shield(ServeRequest(connection));
  }
}

// Returns whether another request may follow. Only EndDrain() cancels it.
weft::Task<bool> Server::ServeRequest(Connection& connection) {
  co_return (co_await weft::WithStopToken(end_drain_.get_token(), ReadAndAnswer(connection))).value_or(false);
}

weft::Task<bool> Server::ReadAndAnswer(Connection& connection) {
  absl::Status read = co_await weft::WithTimeout(options_.request_timeout, connection.ReadRequest());
  RequestParser& parser = connection.parser();
  if (weft::ReasonOf(read).kind == weft::CancelReason::Kind::kTimeout) {
    co_await Refuse(connection, 408,
                    absl::StrCat("the request did not arrive within ", absl::FormatDuration(options_.request_timeout)));
    co_return false;
  }
  if (!read.ok()) co_return false;  // the client hung up: nobody waits for an answer
  if (parser.state() == ParserState::kFailed) {
    co_await Refuse(connection, parser.failure().status, parser.failure().reason);
    co_return false;
  }
  const Request request = parser.Take();
  co_return co_await Handle(connection, request);
}

weft::Task<bool> Server::Handle(Connection& connection, const Request& request) {
  ++counters_.requests;
  std::optional<Response> response;
  weft::Outcome outcome;
  {
    weft::ShutdownOnFailure scope("request");
    scope.Fork([&]() -> weft::Task<void> {
      response = co_await handler_(request);
      scope.Shutdown();
    });
    scope.Fork([&] { return connection.WatchForHangUp(); });
    outcome = co_await scope.Join();
  }
  if (!response.has_value() && outcome.exception() == nullptr) {
    ++counters_.aborted;
    co_return false;
  }
  if (!response.has_value()) {
    // Why is for us, not for strangers.
    std::fprintf(stderr, "http: %s\n", outcome.status().ToString().c_str());
    response = Response{.status = 500, .body = "internal error\n"};
  }
  response->keep_alive = response->keep_alive && request.keep_alive && !draining_ && !connection.dropped();
  const bool sent = co_await Send(connection, *response, /*head_only=*/request.method == "HEAD");
  if (sent && response->keep_alive) co_return true;
  if (sent && connection.has_bytes()) co_await Linger(connection);
  co_return false;
}

// Returns whether all of it was sent.
weft::Task<bool> Server::Send(Connection& connection, const Response& response, bool head_only) {
  const std::string head = Serialize(response, head_only);
  absl::Status sent = co_await weft::WithTimeout(options_.write_timeout, connection.Write(head));
  if (!response.source.has_value() || head_only || HasNoBody(response.status)) co_return sent.ok();
  const uint64_t size = response.source->size;
  const size_t piece_bytes = std::min<uint64_t>(size, kPieceBytes);
  const weft::io::AlignedBytes piece = weft::io::AllocateAligned(piece_bytes);
  if (piece == nullptr) co_return false;
  for (uint64_t at = 0; sent.ok() && at < size;) {
    const size_t most = std::min<uint64_t>(size - at, piece_bytes);
    const absl::StatusOr<size_t> got = co_await response.source->read_at(absl::MakeSpan(piece.get(), most), at);
    if (!got.ok() || *got == 0) co_return false;
    sent = co_await weft::WithTimeout(options_.write_timeout, connection.Write(std::string_view(piece.get(), *got)));
    at += *got;
  }
  co_return sent.ok();
}

weft::Task<void> Server::Refuse(Connection& connection, int status, std::string reason) {
  ++counters_.refused;
  Response response{.status = status, .body = absl::StrCat(status, ": ", reason, "\n"), .keep_alive = false};
  response.headers.Add("Content-Type", "text/plain");
  if (co_await Send(connection, response, /*head_only=*/false)) co_await Linger(connection);
}

// A client that goes on sending for longer than that has its answer cut off.
weft::Task<void> Server::Linger(Connection& connection) {
  (co_await weft::WithTimeout(kLingerTimeout, connection.Linger())).IgnoreError();
}

}  // namespace http
