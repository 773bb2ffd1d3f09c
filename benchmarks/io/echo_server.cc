// Sends back what comes, as a user of Weft writes it: one virtual thread for each connection. It serves until it is
// killed. WEFT_IO chooses the backend.
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "benchmarks/io/listen.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr size_t kBufferBytes = 1024;

Task<void> Echo(net::TcpStream stream) {
  char buffer[kBufferBytes];
  for (;;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
    if (!got.ok() || *got == 0) co_return;
    if (!(co_await stream.Write(absl::string_view(buffer, *got))).ok()) co_return;
  }
}

Task<absl::Status> Serve() {
  absl::StatusOr<net::TcpListener> listener = ListenAndSay();
  if (!listener.ok()) co_return listener.status();
  AwaitAll connections;
  for (;;) {
    absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
    if (!stream.ok()) co_return stream.status();
    connections.Fork(Echo(*std::move(stream)));
  }
}

}  // namespace
}  // namespace weft::benchmarks

int main() { return weft::RunMain(weft::benchmarks::Serve()); }
