// Goal: Copy() and CopyBothWays() move every byte once, stop where they are told to, and say how far they have come.
// Method: streams of a script, and in memory, in a simulation.
#include "weft/io/copy.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/cancel/cancel_at.h"
#include "tests/io/scripted.h"
#include "tests/support/allocator.h"
#include "weft/errno.h"
#include "weft/io/buffer.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/io/memory_stream.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

void InSimulation(std::function<Task<void>()> body) {
  for (uint64_t seed = 1; seed <= 10 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation({.carriers = 1 + static_cast<int>(seed % 3), .seed = seed});
    simulation.Run(body());
  }
}

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) absl::StrAppend(&text, i, ",");
  text.resize(size);
  return text;
}

TEST(CopyTest, CopiesEverythingHoweverItArrives) {
  InSimulation([]() -> Task<void> {
    const std::string text = Text(3000);
    for (const size_t buffer_size : {0u, 1u, 7u, 4096u}) {
      ScriptedReader from(text, PieceSizes::Random(50, 3));
      ScriptedWriter to(PieceSizes::Random(30, 4));
      uint64_t progress = 5;
      EXPECT_EQ(*co_await io::Copy(from, to, {.buffer_size = buffer_size, .progress = &progress}), text.size());
      EXPECT_EQ(to.sent, text);
      EXPECT_EQ(progress, 5 + text.size());
    }
    ScriptedReader nothing("");
    ScriptedWriter to;
    EXPECT_EQ(*co_await io::Copy(nothing, to), 0u);
    EXPECT_TRUE(to.calls.empty());
  });
}

TEST(CopyTest, WhatComesAfterMaxBytesIsNotRead) {
  InSimulation([]() -> Task<void> {
    ScriptedReader stream("0123456789abc", PieceSizes::Of(4));
    io::BufferedReader from(stream);
    ScriptedWriter to;
    EXPECT_EQ(*co_await io::Copy(from, to, {.max_bytes = 0}), 0u);
    EXPECT_EQ(stream.reads, 0);
    EXPECT_EQ(*co_await io::Copy(from, to, {.max_bytes = 10}), 10u);
    EXPECT_EQ(to.sent, "0123456789");
    EXPECT_EQ(*co_await io::Copy(from, to, {.max_bytes = 10}), 3u) << "the stream has ended";
    EXPECT_EQ(to.sent, "0123456789abc");
    ScriptedReader bare("0123456789abc");
    EXPECT_EQ(*co_await io::Copy(bare, to, {.max_bytes = 10}), 10u);
    EXPECT_EQ(bare.position(), 10u);
  });
}

TEST(CopyTest, ToABufferedWriterItFlushesNothing) {
  InSimulation([]() -> Task<void> {
    ScriptedReader from("text");
    ScriptedWriter to;
    io::BufferedWriter out(to);
    EXPECT_EQ(*co_await io::Copy(from, out), 4u);
    EXPECT_EQ(to.sent, "");
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_EQ(to.sent, "text");
  });
}

TEST(CopyTest, AnErrorOfEitherSideIsTheResult) {
  const std::string text = Text(100);
  for (size_t at = 0; at <= 100; at += 5) {
    InSimulation([&]() -> Task<void> {
      ScriptedReader from(text, PieceSizes::Of(3));
      from.fails_at = at;
      ScriptedWriter to;
      uint64_t progress = 0;
      EXPECT_EQ((co_await io::Copy(from, to, {.progress = &progress})).status(), from.failure);
      EXPECT_EQ(progress, at);
      EXPECT_EQ(to.sent, text.substr(0, at));
    });
    if (at == 100) break;  // a writer does not fail behind the last byte
    InSimulation([&]() -> Task<void> {
      ScriptedReader from(text, PieceSizes::Of(3));
      ScriptedWriter to(PieceSizes::Of(2));
      to.fails_at = at;
      uint64_t progress = 0;
      EXPECT_EQ((co_await io::Copy(from, to, {.progress = &progress})).status(), to.failure);
      EXPECT_EQ(to.sent, text.substr(0, at));
      EXPECT_LE(progress, at);
      EXPECT_GE(progress + 3, at) << "one piece at most is not certain";
    });
  }
}

constexpr size_t kOddSize = 12'347;

TEST(CopyTest, WithoutMemoryNothingIsRead) {
  InSimulation([]() -> Task<void> {
    ScriptedReader from("text");
    ScriptedWriter to;
    may_allocate = [](size_t bytes, bool throws) noexcept { return throws || bytes != kOddSize; };
    const absl::Status none = (co_await io::Copy(from, to, {.buffer_size = kOddSize})).status();
    may_allocate = nullptr;
    EXPECT_EQ(none.code(), absl::StatusCode::kResourceExhausted);
    const absl::Status too_large = (co_await io::Copy(from, to, {.buffer_size = SIZE_MAX})).status();
    EXPECT_EQ(too_large.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(from.reads, 0);
  });
}

// What the writer has got is a beginning of what the reader has yielded; at most one piece is in neither, or uncertain.
TEST(CopyTest, ACancelledCopyHasMovedABeginning) {
  const std::string text = Text(40);
  for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
    bool requested = true;
    for (int n = 0; requested && !HasFailure(); ++n) {
      SCOPED_TRACE(absl::StrCat("cancelled at ", n));
      ScriptedReader from(text, PieceSizes::Of(7));
      ScriptedWriter to(PieceSizes::Of(2));
      uint64_t progress = 0;
      requested = RunCancelledAt<void>(
          occasion, n, {.carriers = 2, .seed = 1 + static_cast<uint64_t>(n)},
          [&]() -> Task<void> {
            EXPECT_TRUE((co_await io::Copy(from, to, {.buffer_size = 5, .progress = &progress})).ok());
          },
          [](Subtask<void>&) {});
      EXPECT_EQ(to.sent, text.substr(0, to.sent.size()));
      EXPECT_LE(progress, to.sent.size());
      EXPECT_LE(to.sent.size(), from.position());
      EXPECT_LE(from.position(), progress + 5);
      // Who knows how much was written can go on from there: nothing is lost in the stream that was read.
      Simulation simulation;
      simulation.Run([](ScriptedReader& stream, std::string rest) -> Task<void> {
        io::BufferedReader in(stream);
        EXPECT_EQ(*co_await in.ReadAll(), rest);
      }(from, text.substr(from.position())));
    }
  }
}

// ---- Both ways.

Task<absl::Status> Say(io::MemoryStream& stream, std::string text) {
  absl::Status sent = co_await stream.Write(text);
  if (sent.ok()) sent = stream.ShutdownWrite();
  co_return sent;
}

template <class Stream>
Task<std::string> Hear(Stream& stream) {
  io::BufferedReader in(stream);
  absl::StatusOr<std::string> heard = co_await in.ReadAll();
  EXPECT_TRUE(heard.ok()) << heard.status();
  co_return heard.ok() ? *std::move(heard) : "";
}

// The server answers only when it has seen the client's end: a half-close goes through the proxy.
TEST(CopyTest, AProxyPassesTheEndOfEachDirectionOn) {
  InSimulation([]() -> Task<void> {
    auto [client, front] = io::MemoryStream::Pair({.capacity = 100});
    auto [back, server] = io::MemoryStream::Pair({.capacity = 10});
    AwaitAll scope;
    auto relayed = scope.Fork(io::CopyBothWays(front, back, {.buffer_size = 33}));
    scope.Fork([&server = server]() -> Task<absl::Status> {
      const std::string asked = co_await Hear(server);
      co_return co_await Say(server, "an answer to " + asked);
    });
    const std::string question = Text(1000);
    EXPECT_TRUE((co_await Say(client, question)).ok());
    EXPECT_EQ(co_await Hear(client), "an answer to " + question);
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(relayed->a_to_b, 1000u);
    EXPECT_EQ(relayed->b_to_a, 1013u);
  });
}

TEST(CopyTest, AFailureOfOneDirectionEndsBoth) {
  InSimulation([]() -> Task<void> {
    auto [client, front] = io::MemoryStream::Pair();
    auto [back, server] = io::MemoryStream::Pair();
    AwaitAll scope;
    auto relayed = scope.Fork(io::CopyBothWays(front, back));
    EXPECT_TRUE((co_await client.Write("hello")).ok());
    char five[5];
    EXPECT_EQ(*co_await server.Read(five), 5u);
    server.Close();  // which ends one direction, and makes the other fail as soon as there is something to write
    EXPECT_TRUE((co_await client.Write("are you there?")).ok());
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_FALSE(relayed.status().ok());
    EXPECT_EQ(ErrnoOf(relayed.status()), EPIPE) << relayed.status();
  });
}

// A stream that has no ShutdownWrite(), and one whose ShutdownWrite() is awaited.
struct NoHalfClose {
  io::MemoryStream stream;
  auto Read(MutableBuffer buffer) { return stream.Read(buffer); }
  auto Write(ConstBuffer data) { return stream.Write(data); }
};
struct AwaitedHalfClose : NoHalfClose {
  Task<absl::Status> ShutdownWrite() {
    co_await Yield();
    co_return stream.ShutdownWrite();
  }
};
static_assert(!io::HalfCloser<NoHalfClose> && io::HalfCloser<AwaitedHalfClose> && io::HalfCloser<io::MemoryStream>);

TEST(CopyTest, AnAwaitedShutdownIsAwaitedAndNoneIsNotMissed) {
  InSimulation([]() -> Task<void> {
    auto [client, front] = io::MemoryStream::Pair();
    auto [back, server] = io::MemoryStream::Pair();
    AwaitedHalfClose a{{std::move(front)}};
    NoHalfClose b{std::move(back)};
    AwaitAll scope;
    auto relayed = scope.Fork(io::CopyBothWays(a, b));
    EXPECT_TRUE((co_await Say(server, "unasked")).ok());
    EXPECT_EQ(co_await Hear(client), "unasked");
    EXPECT_TRUE((co_await Say(client, "thanks")).ok());
    EXPECT_TRUE((co_await scope.Join()).ok());
    EXPECT_EQ(relayed->a_to_b, 6u);
    char six[6];
    EXPECT_EQ(*co_await server.Read(six), 6u);
  });
}

}  // namespace
}  // namespace weft::testing
