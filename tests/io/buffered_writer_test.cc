// Goal: a BufferedWriter sends what was written, in order, in few writes; its errors stick; and whatever is cancelled
// when, the stream gets a beginning of what was written, without a byte twice. Method: streams of a script, in a
// simulation; every test is done with and without a vectored write.
#include "weft/io/buffered_writer.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/cancel/cancel_at.h"
#include "tests/io/scripted.h"
#include "tests/support/allocator.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft::testing {
namespace {

static_assert(io::Writer<io::BufferedWriter<ScriptedWriter&>>);

template <class Stream>
class BufferedWriterTest : public ::testing::Test {
 protected:
  static constexpr bool kVectored = io::VectoredWriter<Stream>;
  static void InSimulation(std::function<Task<void>()> body) {
    Simulation simulation;
    simulation.Run(body());
  }
};

using Streams = ::testing::Types<ScriptedWriter, VectoredScriptedWriter>;
TYPED_TEST_SUITE(BufferedWriterTest, Streams);

using Calls = std::vector<std::string>;

TYPED_TEST(BufferedWriterTest, SmallWritesGoOutTogether) {
  this->InSimulation([]() -> Task<void> {
    TypeParam stream;
    io::BufferedWriter out(stream, {.buffer_size = 8});
    EXPECT_TRUE((co_await out.Write("one")).ok());
    EXPECT_TRUE((co_await out.Write("")).ok());
    EXPECT_TRUE((co_await out.Write("three")).ok());
    EXPECT_EQ(out.buffered(), 8u);
    EXPECT_EQ(stream.sent, "");
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_TRUE((co_await out.Flush()).ok()) << "of nothing";
    EXPECT_EQ(stream.calls, Calls{"onethree"});
    EXPECT_EQ(out.buffered(), 0u);
    EXPECT_EQ(&out.stream(), &stream);
  });
}

// What finds no room goes out with what is there, in one call if the stream can; a stream that cannot gets the buffer,
// and a small rest is buffered.
TYPED_TEST(BufferedWriterTest, WhatFindsNoRoomGoesOutWithTheBuffer) {
  this->InSimulation([]() -> Task<void> {
    TypeParam stream;
    io::BufferedWriter out(stream, {.buffer_size = 8});
    EXPECT_TRUE((co_await out.Write("12345")).ok());
    EXPECT_TRUE((co_await out.Write("a long one")).ok());
    EXPECT_EQ(stream.calls, TestFixture::kVectored ? Calls{"12345a long one"} : (Calls{"12345", "a long one"}));
    EXPECT_EQ(out.buffered(), 0u);
    stream.calls.clear();
    EXPECT_TRUE((co_await out.Write("another long one")).ok());
    EXPECT_EQ(stream.calls, Calls{"another long one"}) << "with nothing buffered it goes out alone";
    stream.calls.clear();
    EXPECT_TRUE((co_await out.Write("12345")).ok());
    EXPECT_TRUE((co_await out.Write("6789")).ok());
    EXPECT_EQ(stream.calls, TestFixture::kVectored ? Calls{"123456789"} : Calls{"12345"});
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_EQ(stream.sent, "12345a long oneanother long one123456789");
  });
}

TYPED_TEST(BufferedWriterTest, WithoutABufferEachWriteGoesOut) {
  this->InSimulation([]() -> Task<void> {
    io::BufferedWriter out(TypeParam(), {.buffer_size = 0});  // owned
    EXPECT_TRUE((co_await out.Write("a")).ok());
    EXPECT_TRUE((co_await out.Write("")).ok());
    io::BufferedWriter moved(std::move(out));
    EXPECT_TRUE((co_await moved.Write("b")).ok());
    EXPECT_TRUE((co_await moved.Flush()).ok());
    EXPECT_EQ(moved.stream().calls, (Calls{"a", "b"}));
  });
}

// Writes of many sizes into buffers of many sizes: the bytes are those that were written.
TYPED_TEST(BufferedWriterTest, TheOrderIsThatOfTheCalls) {
  this->InSimulation([]() -> Task<void> {
    for (const size_t buffer_size : {0u, 1u, 2u, 7u, 64u, 8192u}) {
      TypeParam stream(PieceSizes::Random(5, 1));
      io::BufferedWriter out(stream, {.buffer_size = buffer_size});
      PieceSizes sizes = PieceSizes::Random(20, static_cast<unsigned>(buffer_size) + 1);
      std::string written;
      for (int i = 0; i < 100; ++i) {
        const std::string next(sizes.Next() - 1, static_cast<char>('a' + i % 26));
        EXPECT_TRUE((co_await out.Write(next)).ok());
        written += next;
        if (i % 17 == 0) EXPECT_TRUE((co_await out.Flush()).ok());
        EXPECT_EQ(stream.sent + written.substr(written.size() - out.buffered()), written);
      }
      EXPECT_TRUE((co_await out.Flush()).ok());
      EXPECT_EQ(stream.sent, written);
    }
  });
}

// An error at each place: what came out is a beginning, and the stream is not asked again.
TYPED_TEST(BufferedWriterTest, ErrorsStick) {
  for (size_t at = 0; at <= 40; ++at) {
    this->InSimulation([at]() -> Task<void> {
      TypeParam stream(PieceSizes::Of(3));
      stream.fails_at = at;
      io::BufferedWriter out(stream, {.buffer_size = 8});
      std::string written;
      absl::Status first;
      for (int i = 0; i < 10 && first.ok(); ++i) {
        const std::string next(static_cast<size_t>(i), static_cast<char>('a' + i));
        written += next;
        first = co_await out.Write(next);
        if (first.ok() && i % 4 == 0) first = co_await out.Flush();
      }
      if (first.ok()) first = co_await out.Flush();
      EXPECT_EQ(first, stream.failure) << "at " << at;
      EXPECT_EQ(stream.sent, written.substr(0, at));
      EXPECT_EQ(out.status(), first);
      EXPECT_EQ(out.buffered(), 0u);
      stream.fails_at.reset();
      stream.calls.clear();
      EXPECT_EQ(co_await out.Write("more"), first);
      EXPECT_EQ(co_await out.Write("much more than there is room for"), first);
      EXPECT_EQ(co_await out.Flush(), first);
      EXPECT_EQ(stream.calls, Calls());
    });
  }
}

TYPED_TEST(BufferedWriterTest, WhatIsNotFlushedIsLost) {
  this->InSimulation([]() -> Task<void> {
    TypeParam stream;
    {
      io::BufferedWriter out(stream);
      EXPECT_TRUE((co_await out.Write("nobody reads this")).ok());
    }
    EXPECT_EQ(stream.calls, Calls());
  });
}

TYPED_TEST(BufferedWriterTest, WhatFindsRoomNeedsNoFrame) {
  this->InSimulation([]() -> Task<void> {
    TypeParam stream;
    io::BufferedWriter out(stream);
    const internal::ScopedFrameFault count({.times = 0});
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_TRUE((co_await out.Write("text")).ok());
    EXPECT_EQ(count.allocations(), 0);
  });
}

constexpr size_t kOddSize = 12'347;

TYPED_TEST(BufferedWriterTest, WithoutMemoryNothingIsTakenAndNothingSticks) {
  this->InSimulation([]() -> Task<void> {
    TypeParam stream;
    io::BufferedWriter out(stream, {.buffer_size = kOddSize});
    may_allocate = [](size_t bytes, bool throws) noexcept { return throws || bytes != kOddSize; };
    const absl::Status none = co_await out.Write("text");
    may_allocate = nullptr;
    EXPECT_EQ(none.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(out.status().ok());
    EXPECT_TRUE((co_await out.Write("text")).ok());
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_EQ(stream.sent, "text");
    io::BufferedWriter too_large(stream, {.buffer_size = SIZE_MAX});
    EXPECT_EQ((co_await too_large.Write("more")).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(too_large.status().ok());
    EXPECT_EQ(too_large.buffered(), 0u);
  });
}

// ---- Cancellation.

template <class Stream>
Task<void> WriteOn(io::BufferedWriter<Stream&>& out, std::string& written, std::string& flushed, int& next) {
  while (next < 12) {
    const std::string data(static_cast<size_t>(next), static_cast<char>('a' + next));
    if (!(co_await out.Write(data)).ok()) co_return;
    written += data;
    ++next;
    if (next % 3 == 0) {
      if (!(co_await out.Flush()).ok()) co_return;
      flushed = written;
    }
  }
}

// Cancelled anywhere. Either nothing was on its way, and the writer goes on as if nothing had happened: the Write()
// that was cancelled has taken nothing. Or it takes no more, and what was sent is a beginning of what was to be sent.
TYPED_TEST(BufferedWriterTest, ACancelledWriterSendsNoByteTwice) {
  int intact = 0, broken = 0;
  for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
    bool requested = true;
    for (int n = 0; requested && !this->HasFailure(); ++n) {
      SCOPED_TRACE(absl::StrCat("cancelled at ", n));
      TypeParam stream(PieceSizes::Of(5));
      io::BufferedWriter<TypeParam&> out(stream, {.buffer_size = 8});
      std::string written, flushed;
      int next = 0;
      requested = RunCancelledAt<void>(
          occasion, n, {.carriers = 2, .seed = 1 + static_cast<uint64_t>(n)},
          [&] { return WriteOn(out, written, flushed, next); }, [](Subtask<void>&) {});
      std::string whole;
      for (int i = 0; i < 12; ++i) whole += std::string(static_cast<size_t>(i), static_cast<char>('a' + i));
      EXPECT_EQ(stream.sent, whole.substr(0, stream.sent.size()));
      EXPECT_GE(stream.sent.size(), flushed.size()) << "what was flushed was sent";
      if (out.status().ok()) {
        ++intact;
        EXPECT_EQ(stream.sent.size() + out.buffered(), written.size());
        this->InSimulation([&]() -> Task<void> {
          co_await WriteOn(out, written, flushed, next);
          EXPECT_TRUE((co_await out.Flush()).ok());
        });
        EXPECT_EQ(stream.sent, whole);
      } else {
        ++broken;
        const std::string sent = stream.sent;
        EXPECT_EQ(out.status().code(), absl::StatusCode::kAborted) << out.status();
        this->InSimulation([&]() -> Task<void> { EXPECT_EQ(co_await out.Flush(), out.status()); });
        EXPECT_EQ(stream.sent, sent);
      }
    }
  }
  EXPECT_GT(intact, 10);
  EXPECT_GT(broken, 10);
}

}  // namespace
}  // namespace weft::testing
