// Two ends of TLS over a connection of the loopback, and transports that do what a peer or a network may do.
#ifndef WEFT_TESTS_TLS_TLS_ENDS_H_
#define WEFT_TESTS_TLS_TLS_ENDS_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/net/on_backends.h"
#include "tests/support/on_both.h"
#include "tests/tls/certificates.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace weft::testing {

struct Connected {
  net::TcpStream client;
  net::TcpStream server;
};

inline Task<Connected> Connect() {
  net::TcpListener listener = net::TcpListener::Bind("127.0.0.1:0").value();
  const net::SocketAddress address = *listener.local_address();
  ShutdownOnFailure scope;
  auto client = scope.Fork(net::TcpStream::Connect(address));
  auto server = scope.Fork(listener.Accept());
  const absl::Status joined = co_await scope.Join();
  EXPECT_TRUE(joined.ok()) << joined;
  co_return Connected{std::move(client).get(), std::move(server).get()};
}

inline tls::Context TrustingClient(tls::ClientContextOptions options = {}) {
  options.authorities = Trusted().pem();
  return tls::Context::Client(std::move(options)).value();
}

inline tls::Context DbServer(tls::ServerContextOptions options = {}) {
  options.certificate = ForDbInternal().certificate_pem();
  options.key = ForDbInternal().key_pem();
  return tls::Context::Server(std::move(options)).value();
}

// Made once: the tests make thousands of connections.
inline const tls::Context& SharedClient() {
  static const tls::Context* const context = new tls::Context(TrustingClient({.max_session_hosts = 0}));
  return *context;
}
inline const tls::Context& SharedServer() {
  static const tls::Context* const context = new tls::Context(DbServer());
  return *context;
}

// What has become of the two handshakes.
struct Ends {
  absl::StatusOr<tls::Stream> client;
  absl::StatusOr<tls::Stream> server;
};

template <class ClientTransport, class ServerTransport>
Task<Ends> Handshake(ClientTransport client, tls::ClientOptions options, ServerTransport server, tls::Context context) {
  std::optional<absl::StatusOr<tls::Stream>> client_end;
  std::optional<absl::StatusOr<tls::Stream>> server_end;
  AwaitAll scope;
  scope.Fork([&]() -> Task<void> { server_end.emplace(co_await tls::Server(std::move(server), context)); });
  scope.Fork([&]() -> Task<void> { client_end.emplace(co_await tls::Client(std::move(client), options)); });
  (co_await scope.Join()).IgnoreFailures();
  co_return Ends{*std::move(client_end), *std::move(server_end)};
}

inline Task<Ends> Handshake(tls::ClientOptions options, tls::Context server) {
  auto [client_side, server_side] = co_await Connect();
  co_return co_await Handshake(std::move(client_side), std::move(options), std::move(server_side), std::move(server));
}

// Two ends that have agreed.
struct Pair {
  tls::Stream client;
  tls::Stream server;
};

template <class ClientTransport, class ServerTransport>
Task<Pair> SecureOver(ClientTransport client, ServerTransport server) {
  Ends ends = co_await Handshake(std::move(client), {.host = "db.internal", .context = SharedClient()},
                                 std::move(server), SharedServer());
  EXPECT_TRUE(ends.client.ok()) << ends.client.status();
  EXPECT_TRUE(ends.server.ok()) << ends.server.status();
  co_return Pair{*std::move(ends.client), *std::move(ends.server)};
}

inline Task<Pair> Secure() {
  auto [client, server] = co_await Connect();
  co_return co_await SecureOver(std::move(client), std::move(server));
}

// Up to the end, or `size` bytes.
inline Task<std::string> ReadSome(tls::Stream& stream, size_t size) {
  std::string all;
  char buffer[20'000];
  while (all.size() < size) {
    const absl::StatusOr<size_t> got = co_await stream.Read(MutableBuffer(buffer).first(size - all.size()));
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) break;
    all.append(buffer, *got);
  }
  co_return all;
}

// A transport that a test has in its hand.
struct Control {
  size_t max_read = size_t{1} << 20;  // bytes that a read of the transport yields at most
  size_t flip_after = ~size_t{0};     // the byte with this number arrives changed
  Event flipped;                      // it has
  int stop_at = -1;                   // operation that stops: 0 is the next one
  bool half_written = false;          // a write that stops has sent a half before
  Event stopped;                      // it has come to that
  Event go_on;                        // until then; if nobody sets it, it never ends
  size_t bytes_read = 0;
  int writes = 0;
};

class ControlledTransport {
 public:
  ControlledTransport(net::TcpStream stream, Control& control) : stream_(std::move(stream)), control_(&control) {}

  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    if (control_->stop_at-- == 0) co_await Stop();
    absl::StatusOr<size_t> got = co_await stream_.Read(into.first(control_->max_read));
    if (!got.ok()) co_return got;
    const size_t before = control_->bytes_read;
    control_->bytes_read += *got;
    if (control_->flip_after >= before && control_->flip_after < control_->bytes_read) {
      into.data()[control_->flip_after - before] ^= 1;
      control_->flipped.Set();
    }
    co_return got;
  }

  Task<absl::Status> Write(ConstBuffer from) {
    ++control_->writes;
    if (control_->stop_at-- == 0) {
      if (control_->half_written) {
        (co_await stream_.Write(from.first(from.size() / 2))).IgnoreError();
        from.remove_prefix(from.size() / 2);
      }
      co_await Stop();
    }
    co_return co_await stream_.Write(from);
  }

  absl::Status ShutdownWrite() { return stream_.ShutdownWrite(); }
  void Close() noexcept { stream_.Close(); }

 private:
  Task<void> Stop() {
    control_->stopped.Set();
    co_await control_->go_on.Wait();
  }

  net::TcpStream stream_;
  Control* control_;
};

// Awaits `task`, and asks it to end once it has come to where `control` stops it. True: it was cancelled there.
template <class T>
Task<bool> CancelWhereStopped(Control& control, Task<T> task) {
  std::stop_source source;
  AwaitAll scope;
  scope.Fork([&control, source]() mutable -> Task<void> {
    co_await control.stopped.Wait();
    source.request_stop();
  });
  const auto done = co_await WithStopToken(source.get_token(), std::move(task));
  control.stopped.Set();
  (co_await scope.Join()).IgnoreFailures();
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(done)>, absl::Status>) {
    co_return done.code() == absl::StatusCode::kCancelled;
  } else {
    co_return done.status().code() == absl::StatusCode::kCancelled;
  }
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_TLS_TLS_ENDS_H_
