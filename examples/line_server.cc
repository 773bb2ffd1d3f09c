// A server that answers line by line, over TCP and in memory. What a client sends at once is answered at once.
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/memory_stream.h"
#include "weft/io/stream.h"
#include "weft/weft.h"

namespace {

// The line backwards.
std::string Answer(std::string_view line) { return std::string(line.rbegin(), line.rend()) + "\n"; }

// clang-format off
//! [serve]
template <class Stream>
weft::Task<absl::Status> Serve(Stream stream) {
  weft::io::BufferedReader in(stream);                         // any io::Reader
  weft::io::BufferedWriter out(stream);
  while (true) {
    auto line = co_await in.ReadLine({.max_bytes = 8 << 10});  // StatusOr<string_view> into the buffer
    if (!line.ok()) co_return weft::io::IsEndOfStream(line.status()) ? absl::OkStatus() : line.status();
    if (absl::Status s = co_await out.Write(Answer(*line)); !s.ok()) co_return s;
    if (in.buffered() == 0)                                    // answers to a pipeline go out together
      if (absl::Status s = co_await out.Flush(); !s.ok()) co_return s;
  }
}
//! [serve]
// clang-format on

template <class Stream>
weft::Task<absl::Status> Ask(const char* where, Stream stream) {
  if (absl::Status s = co_await stream.Write("stressed\nlive\r\nstraw"); !s.ok()) co_return s;
  if (absl::Status s = stream.ShutdownWrite(); !s.ok()) co_return s;
  weft::io::BufferedReader in(stream);
  while (true) {
    const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
    if (!line.ok()) co_return weft::io::IsEndOfStream(line.status()) ? absl::OkStatus() : line.status();
    std::printf("%s: %.*s\n", where, static_cast<int>(line->size()), line->data());
  }
}

weft::Task<absl::Status> Main() {
  {
    auto [client, server] = weft::io::MemoryStream::Pair();
    weft::ShutdownOnFailure scope;
    scope.Fork(Serve(std::move(server)));
    scope.Fork(Ask("in memory", std::move(client)));
    if (absl::Status s = co_await scope.Join(); !s.ok()) co_return s;
  }
  auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  auto client = co_await weft::net::TcpStream::Connect(*listener->local_address());
  if (!client.ok()) co_return client.status();
  auto server = co_await listener->Accept();
  if (!server.ok()) co_return server.status();
  weft::ShutdownOnFailure scope;
  scope.Fork(Serve(*std::move(server)));
  scope.Fork(Ask("over TCP", *std::move(client)));
  co_return co_await scope.Join();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
