// The Redis of the examples under the clients of Redis itself, redis-benchmark and redis-cli (Debian's redis-tools),
// and its program under signals. Goal: what they send is understood, and what they get satisfies them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/examples/redis_server.h"
#include "weft/io/buffered_reader.h"
#include "weft/process.h"
#include "weft/weft.h"

namespace redis {
namespace {

using weft::Process;
using weft::Task;
using weft::net::SocketAddress;

constexpr const char* kBenchmark = "/usr/bin/redis-benchmark";
constexpr const char* kCli = "/usr/bin/redis-cli";

class RedisPeersTest : public BesideAServer {
 protected:
  void SetUp() override {
    for (const char* program : {kBenchmark, kCli}) {
      if (access(program, X_OK) != 0) GTEST_SKIP() << program << " is not there: apt-get install redis-tools";
    }
  }

  // What a program writes that ends well.
  static Task<std::string> Run(std::vector<std::string> arguments) {
    const absl::StatusOr<Process::Output> output = co_await Process::Run(std::move(arguments));
    EXPECT_TRUE(output.ok()) << output.status();
    if (!output.ok()) co_return "";
    EXPECT_TRUE(output->exit.success()) << output->exit;
    EXPECT_EQ(output->standard_error, "");
    co_return output->standard_output;
  }

  // What redis-cli answers to a command.
  static Task<std::string> Cli(SocketAddress server, std::vector<std::string> command) {
    std::vector<std::string> arguments = {kCli, "-h", "127.0.0.1", "-p", absl::StrCat(server.port())};
    arguments.insert(arguments.end(), command.begin(), command.end());
    co_return co_await Run(std::move(arguments));
  }
};
REDIS_ON_BACKENDS(RedisPeersTest);

TEST_P(RedisPeersTest, RedisBenchmarkGetsThroughEachOfItsTests) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    const std::string report = co_await Run({kBenchmark, "-h", "127.0.0.1", "-p", absl::StrCat(server.port()), "-t",
                                             "ping,set,get,incr", "-P", "16", "-n", "20000", "-c", "50", "-q"});
    for (const char* test : {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"}) {
      EXPECT_THAT(report, testing::ContainsRegex(absl::StrCat(test, ": [0-9]+[.][0-9]+ requests per second")));
    }
    // It sets "key:__rand_int__", and adds one to "counter:__rand_int__" for each request.
    EXPECT_EQ(co_await Cli(server, {"GET", "counter:__rand_int__"}), "20000\n");
  });
}

TEST_P(RedisPeersTest, RedisCliIsAnswered) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    EXPECT_EQ(co_await Cli(server, {"SET", "color", "deep green", "EX", "1000"}), "OK\n");
    EXPECT_EQ(co_await Cli(server, {"GET", "color"}), "deep green\n");
    EXPECT_THAT(co_await Cli(server, {"TTL", "color"}), testing::MatchesRegex("(1000|9[0-9][0-9])\n"));
    EXPECT_EQ(co_await Cli(server, {"INCR", "n"}), "1\n");
    EXPECT_EQ(co_await Cli(server, {"INCR", "n"}), "2\n");
    EXPECT_EQ(co_await Cli(server, {"INCR", "color"}), "ERR value is not an integer or out of range\n\n");
    EXPECT_EQ(co_await Cli(server, {"MGET", "n", "none"}), "2\n\n");
  });
}

// The program, until a signal ends it.
Task<void> EndsWellOn(int signal) {
  absl::StatusOr<Process> program = co_await Process::Start({"examples/redis/redis", "--listen=127.0.0.1:0"},
                                                            {.standard_output = Process::kPipe});
  EXPECT_TRUE(program.ok()) << program.status();
  if (!program.ok()) co_return;
  weft::io::BufferedReader lines(program->standard_output());
  const absl::StatusOr<std::string_view> line = co_await lines.ReadLine();
  constexpr std::string_view kListening = "listening on ";
  EXPECT_TRUE(line.ok() && line->starts_with(kListening)) << line.status();
  if (!line.ok()) co_return;
  absl::StatusOr<weft::net::TcpStream> stream =
      co_await weft::net::TcpStream::Connect(std::string(line->substr(kListening.size())));
  EXPECT_TRUE(stream.ok()) << stream.status();
  if (!stream.ok()) co_return;
  EXPECT_TRUE((co_await stream->Write("PING\r\n")).ok());
  char pong[7];
  EXPECT_TRUE((co_await stream->ReadExactly(pong)).ok());
  EXPECT_TRUE(program->Kill(signal).ok());
  EXPECT_EQ((co_await stream->Read(pong)).value_or(1), 0u);  // the connection has ended, and was not reset
  const absl::StatusOr<Process::Exit> exit = co_await program->Wait();
  EXPECT_TRUE(exit.ok() && exit->success()) << exit.status();
}

TEST(RedisProgramTest, ASignalEndsItWell) {
  for (int signal : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(signal);
    auto runtime = weft::Runtime::Create();
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    (*runtime)->Run(EndsWellOn(signal));
  }
}

}  // namespace
}  // namespace redis
