// The Redis of the examples. Goal: what its headers promise of the protocol, the store, and the server. Method: the
// parser on bytes, the store in a simulation, where time is virtual, and the server with clients on loopback, on each
// backend. (redis_peers_test.cc has the clients of Redis itself.)
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/redis/resp.h"
#include "examples/redis/server.h"
#include "examples/redis/store.h"
#include "tests/examples/redis_server.h"
#include "weft/testing/simulation.h"
#include "weft/weft.h"

namespace redis {
namespace {

using weft::Task;
using weft::net::SocketAddress;
using weft::net::TcpStream;

// ---- The parser.

constexpr Limits kSmall = {.max_arguments = 3, .max_line_bytes = 20, .max_command_bytes = 64};

// The arguments, or what is wrong.
std::vector<std::string> Parse(std::string_view bytes, const Limits& limits = {}) {
  Arguments arguments;
  const absl::StatusOr<Parsed> parsed = ParseCommand(bytes, limits, arguments);
  if (!parsed.ok()) return {std::string(parsed.status().message())};
  if (!parsed->whole) return {"(not whole)"};
  EXPECT_EQ(parsed->bytes, bytes.size());
  return {arguments.begin(), arguments.end()};
}

using Words = std::vector<std::string>;

TEST(RespTest, ACommandIsAnArrayOrALine) {
  EXPECT_EQ(Parse("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), (Words{"GET", "k"}));
  EXPECT_EQ(Parse(std::string_view("*1\r\n$4\r\n\r\n\0$\r\n", 14)), (Words{std::string("\r\n\0$", 4)}));
  EXPECT_EQ(Parse("*1\r\n$0\r\n\r\n"), (Words{""}));
  EXPECT_EQ(Parse(" GET \t k \r\n"), (Words{"GET", "k"}));
  EXPECT_EQ(Parse("GET k\n"), (Words{"GET", "k"}));
}

TEST(RespTest, NothingIsACommandWithoutArguments) {
  for (const char* bytes : {"\r\n", "\n", "  \r\n", "*0\r\n", "*-1\r\n"}) EXPECT_EQ(Parse(bytes), Words{}) << bytes;
}

TEST(RespTest, APartOfACommandSaysHowMuchMustBeThere) {
  for (const std::string_view whole : {"*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\n", "GET k\r\n"}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      Arguments arguments;
      const absl::StatusOr<Parsed> parsed = ParseCommand(whole.substr(0, size), {}, arguments);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_FALSE(parsed->whole);
      EXPECT_GT(parsed->bytes, size);
      EXPECT_LE(parsed->bytes, whole.size());
    }
  }
  Arguments arguments;
  EXPECT_EQ(ParseCommand("*1\r\n$1000\r\nx", {}, arguments)->bytes, 4 + 7 + 1000 + 2);
}

TEST(RespTest, WhatIsWrongIsSaid) {
  for (const auto& [bytes, error] : std::vector<std::pair<std::string, std::string>>{
           {"*x\r\n", "invalid multibulk length"},
           {"*+1\r\n", "invalid multibulk length"},
           {"*9999999999999999999\r\n", "invalid multibulk length"},
           {"*1\r\n:5\r\n", "expected '$', got ':'"},
           {"*1\r\n\r\n", "expected '$', got ''"},
           {"*1\r\n$x\r\n", "invalid bulk length"},
           {"*1\r\n$-1\r\n", "invalid bulk length"},
           {"*1\r\n$1\r\nabc", "a bulk string is longer than its length"},
           {"*4\r\n", "a command of more than 3 arguments"},
           {"a b c d\r\n", "a command of more than 3 arguments"},
           {"*1\r\n$64\r\n", "a command of more than 64 bytes"},
           {"*1\r\n$9223372036854775807\r\n", "a command of more than 64 bytes"},
           {std::string(21, 'a') + "\r\n", "a line of more than 20 bytes"},
           {std::string(22, 'a'), "a line of more than 20 bytes"},
       }) {
    EXPECT_EQ(Parse(bytes, kSmall), Words{"ERR Protocol error: " + error}) << bytes;
  }
}

TEST(RespTest, ALimitMayBeReached) {
  EXPECT_EQ(Parse("a b c\r\n", kSmall), (Words{"a", "b", "c"}));
  EXPECT_EQ(Parse(std::string(20, 'a') + "\r\n", kSmall), Words{std::string(20, 'a')});
  const std::string most(64 - 4 - 5 - 2, 'a');
  EXPECT_EQ(Parse(absl::StrCat("*1\r\n$", most.size(), "\r\n", most, "\r\n"), kSmall), Words{most});
}

TEST(RespTest, AnErrorStaysOnItsLine) {
  Reply reply;
  reply.Error("ERR a\r\n+OK");
  EXPECT_EQ(reply.bytes(), "-ERR a  +OK\r\n");
}

// ---- The store.

TEST(StoreTest, AKeyExpiresByTheClock) {
  weft::testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.runtime().Run([]() -> Task<void> {
    Store store;
    EXPECT_TRUE(store.Set("k", "1", {.expires_in = absl::Seconds(10)}));
    EXPECT_TRUE(store.Set("stays", "1"));
    EXPECT_EQ(store.TimeToLive("stays"), absl::InfiniteDuration());
    EXPECT_EQ(store.TimeToLive("none"), std::nullopt);
    co_await weft::Sleep(absl::Seconds(9));
    EXPECT_LE(store.TimeToLive("k"), absl::Seconds(1));
    EXPECT_EQ(store.Add("k", 1).value_or(0), 2);  // which does not make it live longer
    co_await weft::Sleep(absl::Seconds(1));
    EXPECT_EQ(store.Get("k"), std::nullopt);
    EXPECT_FALSE(store.Exists("k"));
    EXPECT_FALSE(store.Delete("k"));
    EXPECT_FALSE(store.Expire("k", absl::Seconds(1)));
    EXPECT_EQ(store.Add("k", 5).value_or(0), 5);
    EXPECT_EQ(store.TimeToLive("k"), absl::InfiniteDuration());
    EXPECT_TRUE(store.Exists("stays"));
  }());
}

TEST(StoreTest, ANewValueOrExpireChangesTheTime) {
  weft::testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.runtime().Run([]() -> Task<void> {
    Store store;
    store.Set("set", "1", {.expires_in = absl::Seconds(1)});
    store.Set("set", "2");
    store.Set("later", "1", {.expires_in = absl::Seconds(1)});
    EXPECT_TRUE(store.Expire("later", absl::Seconds(3)));
    store.Set("never", "1", {.expires_in = absl::Seconds(1)});
    EXPECT_TRUE(store.Expire("never", absl::InfiniteDuration()));
    store.Set("now", "1");
    EXPECT_TRUE(store.Expire("now", absl::ZeroDuration()));
    EXPECT_FALSE(store.Exists("now"));
    co_await weft::Sleep(absl::Seconds(2));
    EXPECT_EQ(store.Get("set"), "2");
    EXPECT_TRUE(store.Exists("later"));
    co_await weft::Sleep(absl::Seconds(2));
    EXPECT_FALSE(store.Exists("later"));
    EXPECT_TRUE(store.Exists("never"));
  }());
}

// Many of them, so that each shard has some that expire and some that do not.
TEST(StoreTest, OnlyWhatHasExpiredGoes) {
  weft::testing::Simulation simulation({.carriers = 1, .seed = 1});
  simulation.runtime().Run([]() -> Task<void> {
    Store store;
    constexpr int kKeys = 1000;
    for (int i = 0; i < kKeys; ++i) store.Set(absl::StrCat(i), "", {.expires_in = absl::Seconds(1 + i % 3)});
    for (int second = 1; second <= 3; ++second) {
      co_await weft::Sleep(absl::Seconds(1));
      for (int i = 0; i < kKeys; ++i) EXPECT_EQ(store.Exists(absl::StrCat(i)), i % 3 >= second) << i;
    }
  }());
}

// ---- The server.

class RedisTest : public BesideAServer {
 protected:
  static Task<TcpStream> Connect(SocketAddress server) {
    absl::StatusOr<TcpStream> stream = co_await TcpStream::Connect(server);
    EXPECT_TRUE(stream.ok()) << stream.status();
    co_return *std::move(stream);
  }

  static Task<void> Send(TcpStream& stream, std::string bytes) {
    const absl::Status sent = co_await stream.Write(bytes);
    EXPECT_TRUE(sent.ok()) << sent;
  }

  // The next bytes are these. `to`: what they answer, for the report.
  static Task<void> Expect(TcpStream& stream, std::string expected, std::string to = "") {
    std::string got(expected.size(), '\0');
    const absl::Status read = co_await stream.ReadExactly(absl::MakeSpan(got));
    EXPECT_TRUE(read.ok()) << read << " instead of " << expected << " to " << to;
    EXPECT_TRUE(got == expected) << got.substr(0, 100) << " instead of " << expected.substr(0, 100) << " to " << to;
  }

  static Task<void> Says(TcpStream& stream, std::string bytes, std::string expected) {
    co_await Send(stream, bytes);
    co_await Expect(stream, std::move(expected), bytes.substr(0, 100));
  }

  // Up to the end. A reset is one, too.
  static Task<std::string> ReadToEnd(TcpStream& stream) {
    std::string all;
    for (char buffer[4096];;) {
      const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));
      if (!got.ok() || *got == 0) co_return all;
      all.append(buffer, *got);
    }
  }

  // More than the sockets of one connection hold.
  static std::string Large() { return std::string(kLarge, 'x'); }
  static std::string SetLarge() { return absl::StrCat("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", BulkOfLarge()); }
  static std::string BulkOfLarge() { return absl::StrCat("$", kLarge, "\r\n", Large(), "\r\n"); }
  static constexpr size_t kLarge = 8'000'000;
};
REDIS_ON_BACKENDS(RedisTest);

TEST_P(RedisTest, EachCommandIsAnswered) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    for (const auto& [command, reply] : std::vector<std::pair<std::string, std::string>>{
             {"PING", "+PONG"},
             {"ping hello", "$5\r\nhello"},
             {"ECHO a", "$1\r\na"},
             {"GET k", "$-1"},
             {"SET k v", "+OK"},
             {"GET k", "$1\r\nv"},
             {"SET k w NX", "$-1"},
             {"SET none w XX", "$-1"},
             {"SET k w xx ex 100", "+OK"},
             {"SET k w PX 100000 PX 1", "-ERR syntax error"},
             {"SET k w NX XX", "-ERR syntax error"},
             {"SET k w EX", "-ERR syntax error"},
             {"SET k w EX soon", "-ERR value is not an integer or out of range"},
             {"SET k w EX 0", "-ERR invalid expire time in 'set' command"},
             {"SET k v", "+OK"},
             {"TTL k", ":-1"},
             {"TTL none", ":-2"},
             {"EXPIRE k 50", ":1"},
             {"EXPIRE k 9223372036854775807", ":1"},
             {"EXPIRE none 50", ":0"},
             {"EXPIRE k soon", "-ERR value is not an integer or out of range"},
             {"EXISTS k none k", ":2"},
             {"MGET k none k", "*3\r\n$1\r\nv\r\n$-1\r\n$1\r\nv"},
             {"INCR k", "-ERR value is not an integer or out of range"},
             {"DEL k none", ":1"},
             {"INCR n", ":1"},
             {"DECR n", ":0"},
             {"DECR n", ":-1"},
             {"INCRBY n 43", ":42"},
             {"INCRBY n x", "-ERR value is not an integer or out of range"},
             {"GET n", "$2\r\n42"},
             {"SET n 9223372036854775807", "+OK"},
             {"INCR n", "-ERR increment or decrement would overflow"},
             {"EXPIRE n -1", ":1"},
             {"EXISTS n", ":0"},
             {"CONFIG GET save appendonly other", "*4\r\n$4\r\nsave\r\n$0\r\n\r\n$10\r\nappendonly\r\n$2\r\nno"},
             {"CONFIG SET save x", "-ERR only CONFIG GET is known"},
             {"COMMAND DOCS", "*0"},
             {"GET", "-ERR wrong number of arguments for 'get' command"},
             {"ECHO a b", "-ERR wrong number of arguments for 'echo' command"},
             {"FLY", "-ERR unknown command 'fly'"},
         }) {
      co_await Says(stream, absl::StrCat(command, "\r\n"), absl::StrCat(reply, "\r\n"));
    }
  });
}

TEST_P(RedisTest, RepliesToAPipelineLeaveTogether) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Send(stream, "PING\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n\r\nINCR n\r\nPI");
    char buffer[64];
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(buffer));  // one packet
    EXPECT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(std::string_view(buffer, got.value_or(0)), "+PONG\r\n:1\r\n:2\r\n");
    co_await Says(stream, "NG\r\n", "+PONG\r\n");
  });
}

TEST_P(RedisTest, ALongPipelineIsAnsweredInItsOrder) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    constexpr int kCommands = 20'000;  // far more than the buffers hold
    TcpStream stream = co_await Connect(server);
    std::string commands;
    std::string replies;
    for (int i = 0; i < kCommands; ++i) {
      absl::StrAppend(&commands, "ECHO ", i, "\r\n");
      absl::StrAppend(&replies, "$", absl::StrCat(i).size(), "\r\n", i, "\r\n");
    }
    weft::AwaitAll scope;
    scope.Fork([&] { return Send(stream, commands); });
    co_await Expect(stream, replies);
    (co_await scope.Join()).IgnoreFailures();
  });
}

TEST_P(RedisTest, ACommandMayComeByteByByte) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    const std::string commands = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    for (char byte : commands) co_await Send(stream, std::string(1, byte));
    co_await Expect(stream, "+OK\r\n$3\r\na\r\n\r\n");
  });
}

TEST_P(RedisTest, ALargeValueComesAndGoes) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Says(stream, SetLarge(), "+OK\r\n");
    co_await Says(stream, "GET k\r\n", BulkOfLarge());
  });
}

TEST_P(RedisTest, AProtocolErrorIsSaidAndEndsTheConnection) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    // With much behind it, which the server has not read when it disconnects.
    co_await Send(stream, absl::StrCat("PING\r\n*1\r\n$x\r\n", std::string(100'000, 'x')));
    EXPECT_EQ(co_await ReadToEnd(stream), "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
    TcpStream other = co_await Connect(server);
    co_await Says(other, "PING\r\n", "+PONG\r\n");
  });
}

TEST_P(RedisTest, ALimitIsSaid) {
  WithServer({.limits = {.max_command_bytes = 100}}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Send(stream, "*2\r\n$4\r\nECHO\r\n$100\r\n");
    EXPECT_EQ(co_await ReadToEnd(stream), "-ERR Protocol error: a command of more than 100 bytes\r\n");
  });
}

TEST_P(RedisTest, QuitIsAnsweredAndEndsTheConnection) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Send(stream, "QUIT\r\nPING\r\n");
    EXPECT_EQ(co_await ReadToEnd(stream), "+OK\r\n");
  });
}

TEST_P(RedisTest, AClientMayGoInTheMiddleOfACommand) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Send(stream, "INCR n\r\n*2\r\n$4\r\nINCR\r\n$1\r\n");
    EXPECT_TRUE(stream.ShutdownWrite().ok());
    EXPECT_EQ(co_await ReadToEnd(stream), ":1\r\n");
    TcpStream other = co_await Connect(server);
    co_await Says(other, "GET n\r\n", "$1\r\n1\r\n");
  });
}

TEST_P(RedisTest, AKeyExpires) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    co_await Says(stream, "SET k v PX 20\r\n", "+OK\r\n");
    for (std::string reply = ":1"; reply != ":0";) {
      co_await Send(stream, "EXISTS k\r\n");
      reply.assign(4, '\0');
      EXPECT_TRUE((co_await stream.ReadExactly(absl::MakeSpan(reply))).ok());
      reply.resize(2);
    }
    co_await Says(stream, "TTL k\r\n", ":-2\r\n");
  });
}

TEST_P(RedisTest, TwoClientsAtOnceCountTogether) {
  WithServer({}, [](SocketAddress server, Stop) -> Task<void> {
    constexpr int kEach = 1000;
    const auto count = [server]() -> Task<void> {
      TcpStream stream = co_await Connect(server);
      for (int i = 0; i < kEach; ++i) {
        co_await Send(stream, "INCR n\r\n");
        for (char byte = 0; byte != '\n';) {
          EXPECT_TRUE((co_await stream.ReadExactly(absl::MakeSpan(&byte, 1))).ok());
        }
      }
    };
    weft::AwaitAll scope;
    scope.Fork(count);
    scope.Fork(count);
    (co_await scope.Join()).IgnoreFailures();
    TcpStream stream = co_await Connect(server);
    co_await Says(stream, "GET n\r\n", "$4\r\n2000\r\n");
  });
}

TEST_P(RedisTest, ConnectionsOverTheLimitWait) {
  WithServer({.max_connections = 1}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream first = co_await Connect(server);
    co_await Says(first, "PING\r\n", "+PONG\r\n");
    TcpStream second = co_await Connect(server);
    co_await Send(second, "INCR n\r\n");
    co_await Says(first, "GET n\r\nQUIT\r\n", "$-1\r\n+OK\r\n");
    first.Close();
    co_await Expect(second, ":1\r\n");
  });
}

TEST_P(RedisTest, AClientThatTakesNoRepliesIsDisconnected) {
  const ServerOptions options = {.max_connections = 1, .write_timeout = absl::Seconds(3)};
  WithServer(options, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream stream = co_await Connect(server);
    // Small commands, which take none of the time; the replies are far more than the sockets hold.
    co_await Says(stream, absl::StrCat("SET k ", std::string(4000, 'x'), "\r\n"), "+OK\r\n");
    std::string commands;
    for (size_t size = 0; size < kLarge; size += 4000) commands += "GET k\r\n";
    co_await Send(stream, commands);
    TcpStream next = co_await Connect(server);
    co_await Says(next, "PING\r\n", "+PONG\r\n");  // whose turn comes when the other is disconnected
    EXPECT_LT((co_await ReadToEnd(stream)).size(), kLarge);
  });
}

TEST_P(RedisTest, AClientThatIsIdleOrSendsAByteNowAndThenIsDisconnected) {
  WithServer({.idle_timeout = absl::Milliseconds(20)}, [](SocketAddress server, Stop) -> Task<void> {
    TcpStream idle = co_await Connect(server);
    TcpStream slow = co_await Connect(server);
    // Each argument that has come tells how long the next one is: that is no new command.
    absl::Status sent = co_await slow.Write("*1000\r\n");
    while (sent.ok()) {
      co_await weft::Sleep(absl::Milliseconds(5));
      sent = co_await slow.Write("$1\r\nx\r\n");
    }
    EXPECT_EQ(co_await ReadToEnd(idle), "");
  });
}

TEST_P(RedisTest, ACommandThatWasExecutedIsAnsweredWhenTheServerEnds) {
  WithServer({}, [](SocketAddress server, Stop stop) -> Task<void> {
    TcpStream idle = co_await Connect(server);
    co_await Says(idle, "PING\r\n", "+PONG\r\n");
    TcpStream stream = co_await Connect(server);
    co_await Says(stream, SetLarge(), "+OK\r\n");
    const std::string reply = BulkOfLarge();
    co_await Says(stream, "GET k\r\n", reply.substr(0, 1));  // the rest does not fit into the sockets
    stop();
    EXPECT_EQ(co_await ReadToEnd(idle), "");
    EXPECT_TRUE(co_await ReadToEnd(stream) == reply.substr(1));  // megabytes are no report
  });
}

}  // namespace
}  // namespace redis
