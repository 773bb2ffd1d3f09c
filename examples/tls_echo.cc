// Echo over TLS: a server, and a client that sends what it reads from its standard input and prints what comes back.
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=localhost
//       -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem
//   tls_echo --listen=127.0.0.1:7443 --certificate=certificate.pem --key=key.pem      # until SIGINT or SIGTERM
//   tls_echo --connect=127.0.0.1:7443 --host=localhost --authorities=certificate.pem
//
// `openssl s_client` may be the client, and `openssl s_server -rev` is a server that answers backwards.
#include <signal.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/most_connections.h"
#include "weft/io/copy.h"
#include "weft/io/standard_streams.h"
#include "weft/signal.h"
#include "weft/tls/context.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0", "address to listen on; port 0 lets the kernel choose");
ABSL_FLAG(std::string, certificate, "certificate.pem", "the server's certificate");
ABSL_FLAG(std::string, key, "key.pem", "the server's key");
ABSL_FLAG(std::string, connect, "", "address of a server; empty: be the server");
ABSL_FLAG(std::string, host, "localhost", "whom the server's certificate has to be for");
ABSL_FLAG(std::string, authorities, "certificate.pem", "whose certificates the client trusts");

namespace {

namespace net = weft::net;
namespace tls = weft::tls;
using weft::Task;

Task<absl::Status> Echo(net::TcpStream accepted, tls::Context context) {
  auto stream = co_await weft::WithTimeout(absl::Seconds(10), tls::Server(std::move(accepted), context));
  if (!stream.ok()) co_return stream.status();              // it does not speak TLS, or is too slow
  auto copied = co_await weft::io::Copy(*stream, *stream);  // until the client says that it has finished
  if (!copied.ok()) co_return copied.status();
  co_return co_await stream->ShutdownWrite();  // says so, too
}

Task<absl::Status> Serve() {
  absl::StatusOr<tls::Context> context =
      tls::Context::Server({.certificate = tls::Pem::File(absl::GetFlag(FLAGS_certificate)),
                            .key = tls::Pem::File(absl::GetFlag(FLAGS_key))});
  if (!context.ok()) co_return context.status();
  absl::StatusOr<weft::Signals> signals = weft::Signals::Open({SIGINT, SIGTERM});
  if (!signals.ok()) co_return signals.status();
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind(absl::GetFlag(FLAGS_listen));
  if (!listener.ok()) co_return listener.status();
  std::printf("listening on %s\n", listener->local_address()->ToString().c_str());
  std::fflush(stdout);
  weft::ShutdownOnFailure scope("server");
  scope.Fork([&]() -> Task<absl::Status> {
    weft::Semaphore permits(MostConnections());
    weft::AwaitAll connections("connections");  // the failure of one is nobody else's
    while (true) {
      weft::Permit permit = co_await permits.Acquire();
      absl::StatusOr<net::TcpStream> accepted = co_await listener->Accept();
      if (!accepted.ok()) co_return accepted.status();
      connections.Fork([&context, p = std::move(permit), s = *std::move(accepted)]() mutable {
        return Echo(std::move(s), *context);
      });
    }
  });
  scope.Fork([&]() -> Task<void> {
    co_await signals->Next();
    scope.Shutdown();
  });
  co_return co_await scope.Join();
}

Task<absl::Status> Ask() {
  absl::StatusOr<tls::Context> context =
      tls::Context::Client({.authorities = tls::Pem::File(absl::GetFlag(FLAGS_authorities))});
  if (!context.ok()) co_return context.status();
  absl::StatusOr<net::TcpStream> connected = co_await net::TcpStream::Connect(absl::GetFlag(FLAGS_connect));
  if (!connected.ok()) co_return connected.status();
  absl::StatusOr<tls::Stream> stream =
      co_await tls::Client(*std::move(connected), {.host = absl::GetFlag(FLAGS_host), .context = *context});
  if (!stream.ok()) co_return stream.status();
  weft::ShutdownOnFailure scope("client");
  scope.Fork([&]() -> Task<absl::Status> {
    weft::io::StandardInput input;
    auto sent = co_await weft::io::Copy(input, *stream);
    if (!sent.ok()) co_return sent.status();
    co_return co_await stream->ShutdownWrite();
  });
  scope.Fork([&]() -> Task<absl::Status> {
    weft::io::StandardOutput output;
    co_return (co_await weft::io::Copy(*stream, output)).status();
  });
  co_return co_await scope.Join();
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return weft::RunMain(absl::GetFlag(FLAGS_connect).empty() ? Serve() : Ask());
}
