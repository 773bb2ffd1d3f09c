// Goal: what works on a stream of a script works on a connection of the kernel, whose pieces and waits are its own.
// Method: a proxy of lines and of many bytes, on both backends, in simulations and on real carriers.
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/net/on_backends.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/copy.h"
#include "weft/io/pipe.h"
#include "weft/io/split.h"
#include "weft/io/standard_streams.h"
#include "weft/io/stream.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/scope.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using net::TcpStream;

static_assert(io::Reader<TcpStream> && io::VectoredWriter<TcpStream> && io::HalfCloser<TcpStream>);
static_assert(io::Splittable<TcpStream>);
static_assert(io::Reader<io::PipeReader> && io::VectoredWriter<io::PipeWriter>);
static_assert(io::Reader<io::StandardInput> && io::Writer<io::StandardOutput>);

class OverTcpTest : public OnBackends {};
WEFT_ON_BACKENDS(OverTcpTest);

Task<std::pair<TcpStream, TcpStream>> Connected() {
  net::TcpListener listener = net::TcpListener::Bind("127.0.0.1:0").value();
  TcpStream near = (co_await TcpStream::Connect(*listener.local_address())).value();
  TcpStream far = (co_await listener.Accept()).value();
  co_return {std::move(near), std::move(far)};
}

// Answers each line with its length; what comes in together is answered together.
Task<absl::Status> Serve(TcpStream stream) {
  io::BufferedReader in(stream);
  io::BufferedWriter out(stream);
  while (true) {
    const absl::StatusOr<std::string_view> line = co_await in.ReadLine({.max_bytes = 100});
    if (!line.ok()) co_return io::IsEndOfStream(line.status()) ? co_await out.Flush() : line.status();
    if (absl::Status s = co_await out.Write(absl::StrCat(line->size(), "\n")); !s.ok()) co_return s;
    if (in.buffered() == 0) {
      if (absl::Status s = co_await out.Flush(); !s.ok()) co_return s;
    }
  }
}

TEST_P(OverTcpTest, LinesGoThroughAProxy) {
  Everywhere([]() -> Task<void> {
    auto [client, front] = co_await Connected();
    auto [back, server] = co_await Connected();
    AwaitAll scope;
    auto served = scope.Fork(Serve(std::move(server)));
    auto relayed = scope.Fork(io::CopyBothWays(front, back));
    io::BufferedReader in(client);
    io::BufferedWriter out(client);
    for (size_t i = 0; i < 100; ++i) {
      EXPECT_TRUE((co_await out.Write(absl::StrCat(std::string(i, 'x'), "\r\n"))).ok());
      if (i % 10 != 9) continue;
      EXPECT_TRUE((co_await out.Flush()).ok());
      for (size_t answer = i - 9; answer <= i; ++answer) {
        const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
        EXPECT_TRUE(line.ok() && *line == absl::StrCat(answer)) << line.status();
      }
    }
    EXPECT_TRUE(client.ShutdownWrite().ok());
    EXPECT_TRUE(io::IsEndOfStream((co_await in.ReadLine()).status()));
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_TRUE(served.status().ok()) << served.status();
    EXPECT_TRUE(relayed.status().ok()) << relayed.status();
  });
}

// More than the kernel buffers, through the halves of a stream, with a vectored write.
TEST_P(OverTcpTest, ManyBytesGoThroughHalves) {
  Everywhere([]() -> Task<void> {
    auto [client, server] = co_await Connected();
    const std::string whole(8 << 20, 'x');
    AwaitAll scope;
    {
      auto [reader, writer] = io::Split(std::move(server));
      scope.Fork([half = std::move(writer), &whole]() mutable -> Task<void> {
        io::BufferedWriter out(std::move(half));  // its end is the end of the direction
        EXPECT_TRUE((co_await out.Write("head")).ok());
        EXPECT_TRUE((co_await out.Write(whole)).ok());
        EXPECT_EQ(out.buffered(), 0u);
        EXPECT_TRUE((co_await out.Write("tail")).ok());
        EXPECT_TRUE((co_await out.Flush()).ok());
      });
      scope.Fork([half = std::move(reader)]() mutable -> Task<void> {
        io::BufferedReader in(half);
        EXPECT_EQ(*co_await in.ReadAll(), "a question");
      });
    }
    EXPECT_TRUE((co_await client.Write("a question")).ok());
    EXPECT_TRUE(client.ShutdownWrite().ok());
    io::BufferedReader in(client);
    EXPECT_EQ(*co_await in.ReadExactly(4), "head");
    EXPECT_TRUE((co_await in.Skip(whole.size())).ok());
    EXPECT_EQ(*co_await in.ReadAll(), "tail");
    (co_await scope.Join()).IgnoreFailures();
  });
}

}  // namespace
}  // namespace weft::testing
