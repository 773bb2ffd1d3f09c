// Goal: a BufferedReader yields what the stream has, cut as asked, however the stream cuts it; and nothing is lost by
// limits, errors, ends, cancellation, or want of memory. Method: streams of a script, in a simulation.
#include "weft/io/buffered_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/cancel/cancel_at.h"
#include "tests/io/scripted.h"
#include "tests/support/allocator.h"
#include "weft/cancellation.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

static_assert(io::Reader<io::BufferedReader<ScriptedReader&>>);

void InSimulation(std::function<Task<void>()> body) {
  Simulation simulation;
  simulation.Run(body());
}

constexpr size_t kBufferSizes[] = {0, 1, 2, 3, 16, 8 << 10};

// What was read, or why nothing was.
std::string TextOf(const absl::StatusOr<std::string_view>& read) {
  return read.ok() ? std::string(*read) : read.status().ToString();
}

// Calls body(reader, buffer size) for each way to cut `text`.
void ForEveryCut(std::string_view text, std::function<Task<void>(ScriptedReader&, size_t)> body) {
  int cut = 0;
  for (const PieceSizes& sizes : AllPieceSizes()) {
    for (const size_t buffer_size : kBufferSizes) {
      SCOPED_TRACE(absl::StrCat("cut ", cut, ", buffer of ", buffer_size));
      ScriptedReader stream(text, sizes);
      InSimulation([&] { return body(stream, buffer_size); });
      if (::testing::Test::HasFailure()) return;
    }
    ++cut;
  }
}

// The rest of the stream.
template <class In>
Task<std::string> Rest(In& in) {
  absl::StatusOr<std::string> rest = co_await in.ReadAll();
  EXPECT_TRUE(rest.ok()) << rest.status();
  co_return rest.ok() ? *rest : "";
}

// Every kind of end, an empty line, and a byte of any kind.
constexpr char kBytes[] = "first\nsecond\r\n\n\r\na\rb\r\r\nlonger than the smaller buffers\n\xff\0z\nlast\r";
const std::string kWhole(kBytes, sizeof(kBytes) - 1);
const std::vector<std::string> kLines = {
    "first", "second", "", "", "a\rb\r", "longer than the smaller buffers", std::string("\xff\0z", 3), "last\r"};

TEST(BufferedReaderTest, LinesAreTheSameHoweverTheyArrive) {
  ForEveryCut(kWhole, [](ScriptedReader& stream, size_t buffer_size) -> Task<void> {
    io::BufferedReader in(stream, {.buffer_size = buffer_size});
    for (const std::string& expected : kLines) {
      const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
      EXPECT_TRUE(line.ok()) << line.status();
      if (line.ok()) EXPECT_EQ(*line, expected);
    }
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
      EXPECT_TRUE(io::IsEndOfStream(line.status())) << line.status();
      EXPECT_EQ(line.status().code(), absl::StatusCode::kOutOfRange);
    }
  });
}

TEST(BufferedReaderTest, AStreamWithoutBytesHasNoLine) {
  InSimulation([]() -> Task<void> {
    io::BufferedReader in(ScriptedReader(""));  // owned
    EXPECT_TRUE(io::IsEndOfStream((co_await in.ReadLine()).status()));
    EXPECT_TRUE(io::IsEndOfStream((co_await in.ReadUntil('x')).status()));
    EXPECT_TRUE(io::IsEndOfStream((co_await in.ReadExactly(1)).status()));
    EXPECT_TRUE(io::IsEndOfStream(co_await in.Skip(1)));
    EXPECT_EQ(*co_await in.ReadAll(), "");
    EXPECT_EQ(*co_await in.Peek(3), "");
    char buffer[4];
    EXPECT_EQ(*co_await in.Read(buffer), 0u);
  });
}

TEST(BufferedReaderTest, NoOtherStatusIsTheEndOfAStream) {
  EXPECT_TRUE(io::IsEndOfStream(io::EndOfStreamError("a test")));
  EXPECT_FALSE(io::IsEndOfStream(absl::OutOfRangeError("a test: the stream has ended")));
  EXPECT_FALSE(io::IsEndOfStream(absl::OkStatus()));
  EXPECT_FALSE(io::IsEndOfStream(absl::UnavailableError("a test")));
}

// A line of as many bytes as are allowed is one; a longer one is refused as soon as that is known, and stays.
TEST(BufferedReaderTest, ALineOverItsLimitStaysReadable) {
  for (const std::string end : {"\n", "\r\n"}) {
    ForEveryCut("four" + end + "fives" + end, [](ScriptedReader& stream, size_t buffer_size) -> Task<void> {
      io::BufferedReader in(stream, {.buffer_size = buffer_size});
      EXPECT_EQ(TextOf(co_await in.ReadLine({.max_bytes = 4})), "four");
      for (int i = 0; i < 2; ++i) {
        const absl::StatusOr<std::string_view> line = co_await in.ReadLine({.max_bytes = 4});
        EXPECT_EQ(line.status().code(), absl::StatusCode::kResourceExhausted) << line.status();
      }
      EXPECT_EQ(TextOf(co_await in.ReadLine({.max_bytes = 5})), "fives");
      EXPECT_EQ(co_await Rest(in), "");
    });
  }
}

TEST(BufferedReaderTest, ALineIsTooLongBeforeItsEndHasCome) {
  InSimulation([]() -> Task<void> {
    for (const std::string text : {"fives", "four\rs", "four\r\r"}) {
      ScriptedReader stream(text);
      stream.fails_at_end = true;  // who waits for more fails
      io::BufferedReader in(stream);
      EXPECT_EQ((co_await in.ReadLine({.max_bytes = 4})).status().code(), absl::StatusCode::kResourceExhausted) << text;
      EXPECT_EQ(TextOf(co_await in.ReadExactly(text.size())), text);
    }
    for (const std::string text : {"four", "four\r", "", "\r"}) {
      ScriptedReader stream(text);
      stream.fails_at_end = true;
      io::BufferedReader in(stream);
      EXPECT_EQ((co_await in.ReadLine({.max_bytes = 4})).status(), stream.failure) << "it may still be one";
    }
    // The last line: what would be the end of a longer one counts.
    ScriptedReader last("four\r");
    io::BufferedReader in(last);
    EXPECT_EQ((co_await in.ReadLine({.max_bytes = 4})).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(TextOf(co_await in.ReadLine({.max_bytes = 5})), "four\r");
    ScriptedReader empty("\nx");
    io::BufferedReader none(empty);
    EXPECT_EQ(TextOf(co_await none.ReadLine({.max_bytes = 0})), "");
    EXPECT_EQ((co_await none.ReadLine({.max_bytes = 0})).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(TextOf(co_await none.ReadLine({.max_bytes = SIZE_MAX})), "x");
  });
}

TEST(BufferedReaderTest, ReadUntilYieldsTheDelimiterAndAtTheEndTheRest) {
  ForEveryCut("a;bc;,d,efg", [](ScriptedReader& stream, size_t buffer_size) -> Task<void> {
    io::BufferedReader in(stream, {.buffer_size = buffer_size});
    EXPECT_EQ(TextOf(co_await in.ReadUntil(';')), "a;");
    EXPECT_EQ((co_await in.ReadUntil(',', {.max_bytes = 3})).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(TextOf(co_await in.ReadUntil(';', {.max_bytes = 3})), "bc;");
    EXPECT_EQ(TextOf(co_await in.ReadUntil(',')), ",");
    EXPECT_EQ(TextOf(co_await in.ReadUntil(',')), "d,");
    EXPECT_EQ((co_await in.ReadUntil(',', {.max_bytes = 2})).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(TextOf(co_await in.ReadUntil(',', {.max_bytes = 4})), "efg");
    EXPECT_TRUE(io::IsEndOfStream((co_await in.ReadUntil(',')).status()));
  });
}

TEST(BufferedReaderTest, PiecesOfAnySize) {
  ForEveryCut("0123456789abcdefghij", [](ScriptedReader& stream, size_t buffer_size) -> Task<void> {
    io::BufferedReader in(stream, {.buffer_size = buffer_size});
    EXPECT_EQ(TextOf(co_await in.Peek(4)), "0123");
    EXPECT_GE(in.buffered(), 4u);
    EXPECT_EQ(TextOf(co_await in.ReadExactly(2)), "01");
    in.Consume(1);
    char four[4];
    EXPECT_TRUE((co_await in.ReadExactly(four)).ok());
    EXPECT_EQ(std::string_view(four, 4), "3456");
    EXPECT_EQ(TextOf(co_await in.ReadExactly(0)), "");
    EXPECT_TRUE((co_await in.Skip(2)).ok());
    EXPECT_TRUE((co_await in.Skip(0)).ok());
    EXPECT_EQ(TextOf(co_await in.ReadExactly(1)), "9");
    std::string some(3, ' ');
    const absl::StatusOr<size_t> got = co_await in.Read(some);
    EXPECT_TRUE(got.ok() && *got >= 1 && *got <= 3);
    EXPECT_EQ(some.substr(0, *got), std::string("abc").substr(0, *got));
    EXPECT_TRUE((co_await in.Skip(3 - *got)).ok());
    EXPECT_EQ(*co_await in.Read(MutableBuffer()), 0u) << "which is not the end";
    // More than there are: they stay.
    const absl::Status short_of = (co_await in.ReadExactly(8)).status();
    EXPECT_EQ(short_of.code(), absl::StatusCode::kOutOfRange);
    EXPECT_FALSE(io::IsEndOfStream(short_of)) << short_of;
    char eight[8];
    EXPECT_EQ((co_await in.ReadExactly(eight)).code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ((co_await in.ReadAll({.max_bytes = 6})).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(TextOf(co_await in.Peek(8)), "defghij");
    EXPECT_EQ(*co_await in.ReadAll({.max_bytes = 7}), "defghij");
    EXPECT_EQ((co_await in.Skip(1)).code(), absl::StatusCode::kOutOfRange);

    io::BufferedReader cut(ScriptedReader("four", PieceSizes::Of(3)));
    const absl::Status skipped = co_await cut.Skip(5);
    EXPECT_EQ(skipped.code(), absl::StatusCode::kOutOfRange);
    EXPECT_FALSE(io::IsEndOfStream(skipped)) << skipped;
    EXPECT_TRUE(io::IsEndOfStream(co_await cut.Skip(1)));
  });
}

TEST(BufferedReaderTest, AReaderOfAReaderAndOneThatWasMoved) {
  InSimulation([]() -> Task<void> {
    ScriptedReader stream("one\ntwo\nthree\n", PieceSizes::Of(5));
    io::BufferedReader in(stream);
    EXPECT_EQ(TextOf(co_await in.ReadLine()), "one");
    io::BufferedReader<io::BufferedReader<ScriptedReader&>&> outer(in);
    EXPECT_EQ(TextOf(co_await outer.ReadLine()), "two");
    io::BufferedReader moved(std::move(outer));
    EXPECT_EQ(TextOf(co_await moved.ReadLine()), "three");
    EXPECT_EQ(&moved.stream(), &in);
  });
}

TEST(BufferedReaderTest, AReadThatIsLargerThanTheBufferGoesToTheStream) {
  InSimulation([]() -> Task<void> {
    ScriptedReader stream("abcdefghijklmnopqrstuvwxyz");
    io::BufferedReader in(stream, {.buffer_size = 8});
    char large[8];
    EXPECT_EQ(*co_await in.Read(large), 8u);
    EXPECT_EQ(stream.last_buffer, large);
    char small[7];
    EXPECT_EQ(*co_await in.Read(small), 7u);
    EXPECT_EQ(in.buffered(), 1u);
    EXPECT_EQ(*co_await in.Read(large), 1u) << "what is buffered comes first";
    EXPECT_EQ(large[0], 'p');
  });
}

// An error at any place: who asks again goes on where it was.
TEST(BufferedReaderTest, AnErrorLosesNothing) {
  for (size_t at = 0; at <= kWhole.size(); ++at) {
    for (const PieceSizes& sizes : {PieceSizes::Of(1), PieceSizes::Of(7), PieceSizes::Of(100)}) {
      ScriptedReader stream(kWhole, sizes);
      stream.fails_at = at;
      InSimulation([&]() -> Task<void> {
        io::BufferedReader in(stream, {.buffer_size = 4});
        std::vector<std::string> lines;
        int errors = 0;
        while (true) {
          const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
          if (line.ok()) {
            lines.emplace_back(*line);
          } else if (line.status() == stream.failure) {
            ++errors;
          } else {
            EXPECT_TRUE(io::IsEndOfStream(line.status())) << line.status();
            break;
          }
        }
        EXPECT_EQ(errors, 1);
        EXPECT_EQ(lines, kLines) << "error at " << at;
      });
    }
  }
}

// Puts newlines over what it has handed out before: who looks there again finds one.
class Trap {
 public:
  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    co_await Yield();
    if (last_ != nullptr) *last_ = '\n';
    if (++count_ == 1000) co_return 0;
    last_ = into.data();
    *last_ = 'x';
    co_return 1;
  }

 private:
  char* last_ = nullptr;
  int count_ = 0;
};

TEST(BufferedReaderTest, NoByteIsSearchedTwice) {
  InSimulation([]() -> Task<void> {
    io::BufferedReader in(Trap{});
    const absl::StatusOr<std::string_view> line = co_await in.ReadLine();
    EXPECT_TRUE(line.ok() && line->size() == 999u) << "it has looked at the beginning again";
  });
}

// What the buffer holds when a call finds all in it: no frame is made, and it is a checkpoint nevertheless.
TEST(BufferedReaderTest, WhatIsBufferedNeedsNoFrame) {
  InSimulation([]() -> Task<void> {
    ScriptedReader stream("one\ntwo\nthree,four");
    io::BufferedReader in(stream);
    EXPECT_EQ(TextOf(co_await in.ReadLine()), "one");
    char four[4];
    const internal::ScopedFrameFault count({.times = 0});
    EXPECT_EQ(TextOf(co_await in.ReadLine()), "two");
    EXPECT_EQ(TextOf(co_await in.Peek(5)), "three");
    EXPECT_EQ(TextOf(co_await in.ReadUntil(',')), "three,");
    EXPECT_TRUE((co_await in.ReadExactly(four)).ok());
    EXPECT_EQ(count.allocations(), 0);
    EXPECT_EQ(stream.reads, 1);
  });
}

// ---- Cancellation.

// Reads it all in many ways, and keeps what it was given. It may be cancelled anywhere, and called again.
Task<void> ReadOn(io::BufferedReader<ScriptedReader&>& in, std::string& got, uint64_t& calls) {
  while (true) {
    absl::StatusOr<std::string_view> next;
    switch (calls++ % 5) {
      case 0: next = co_await in.ReadUntil('\n'); break;
      case 1: next = co_await in.ReadExactly(3); break;
      case 2: {
        char three[3];
        const absl::StatusOr<size_t> count = co_await in.Read(three);
        if (count.ok()) got.append(three, *count);
        continue;
      }
      case 3: {
        char two[2];
        const absl::Status read = co_await in.ReadExactly(two);
        if (read.ok()) got.append(two, 2);
        continue;
      }
      case 4: next = co_await in.Peek(2);
        if (next.ok() && next->empty()) co_return;
        continue;
    }
    if (next.ok()) got += *next;
    if (io::IsEndOfStream(next.status())) co_return;
    if (absl::IsOutOfRange(next.status())) got += *co_await in.ReadAll();
  }
}

TEST(BufferedReaderTest, ACancelledReaderHasLostNothing) {
  for (const Occasion occasion : {Occasion::kCheckpoint, Occasion::kMount, Occasion::kUnmount}) {
    bool requested = true;
    for (int n = 0; requested && !HasFailure(); ++n) {
      SCOPED_TRACE(absl::StrCat("cancelled at ", n));
      ScriptedReader stream(kWhole, PieceSizes::Random(4, 1 + static_cast<unsigned>(n)));
      io::BufferedReader in(stream, {.buffer_size = 3});
      std::string got;
      uint64_t calls = 0;
      requested = RunCancelledAt<void>(
          occasion, n, {.carriers = 2, .seed = 1 + static_cast<uint64_t>(n)}, [&] { return ReadOn(in, got, calls); },
          [](Subtask<void>&) {});
      InSimulation([&]() -> Task<void> {
        co_await ReadOn(in, got, calls);
        got += co_await Rest(in);
      });
      EXPECT_EQ(got, kWhole);
    }
  }
}

// A byte every ten milliseconds.
class SlowReader {
 public:
  explicit SlowReader(std::string_view text) : text_(text) {}
  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    co_await Sleep(absl::Milliseconds(10));
    if (position_ == text_.size()) co_return 0;
    *into.data() = text_[position_++];
    co_return 1;
  }

 private:
  const std::string text_;
  size_t position_ = 0;
};

TEST(BufferedReaderTest, ATimeoutLosesNothing) {
  InSimulation([]() -> Task<void> {
    io::BufferedReader in(SlowReader("a line that takes its time\n"));
    int timeouts = 0;
    while (true) {
      const auto line = co_await WithTimeout(absl::Milliseconds(25), in.ReadLine());
      if (line.ok()) {
        EXPECT_EQ(*line, "a line that takes its time");
        break;
      }
      EXPECT_EQ(line.status().code(), absl::StatusCode::kDeadlineExceeded);
      if (++timeouts > 100) break;
    }
    EXPECT_EQ(timeouts, 13) << "two bytes for each";
  });
}

// ---- Want of memory.

constexpr size_t kOddSize = 12'347;

TEST(BufferedReaderTest, WithoutMemoryNothingIsLost) {
  InSimulation([]() -> Task<void> {
    const std::string text = std::string(kOddSize, 'x') + "yz";
    ScriptedReader stream(text);
    io::BufferedReader in(stream, {.buffer_size = kOddSize});
    may_allocate = [](size_t bytes, bool throws) noexcept { return throws || bytes != kOddSize; };
    const absl::Status none = (co_await in.ReadLine({.max_bytes = 1 << 20})).status();
    may_allocate = nullptr;
    EXPECT_EQ(none.code(), absl::StatusCode::kResourceExhausted) << none;
    EXPECT_EQ(TextOf(co_await in.ReadExactly(1)), "x");
  });
  InSimulation([]() -> Task<void> {
    const std::string text = std::string(kOddSize, 'x') + "yz";
    ScriptedReader stream(text);
    io::BufferedReader in(stream, {.buffer_size = kOddSize});
    may_allocate = [](size_t bytes, bool throws) noexcept { return throws || bytes != 2 * kOddSize; };
    const absl::Status no_more = (co_await in.ReadLine({.max_bytes = 1 << 20})).status();
    may_allocate = nullptr;
    EXPECT_EQ(no_more.code(), absl::StatusCode::kResourceExhausted) << no_more;
    EXPECT_EQ(in.buffered(), kOddSize);
    EXPECT_EQ(*co_await in.ReadLine({.max_bytes = 1 << 20}), text);
  });
  InSimulation([]() -> Task<void> {
    ScriptedReader stream("text");
    io::BufferedReader in(stream, {.buffer_size = SIZE_MAX});
    EXPECT_EQ((co_await in.ReadLine()).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(stream.reads, 0);
  });
}

// A long record needs a large buffer once; then it is given back. The size that is asked for next tells.
TEST(BufferedReaderTest, TheBufferShrinks) {
  InSimulation([]() -> Task<void> {
    ScriptedReader stream(std::string(100'000, 'x') + std::string(10, 'y'), PieceSizes::Of(1000));
    io::BufferedReader in(stream, {.buffer_size = kOddSize});
    EXPECT_EQ((co_await in.ReadExactly(100'000))->size(), 100'000u);
    static bool asked;
    asked = false;
    may_allocate = [](size_t bytes, bool) noexcept {
      asked = asked || bytes == kOddSize;
      return true;
    };
    EXPECT_EQ(TextOf(co_await in.ReadExactly(10)), "yyyyyyyyyy");
    may_allocate = nullptr;
    EXPECT_TRUE(asked);
  });
}

// A Read() that lies.
struct Liar {
  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) { co_return into.size() + 1; }
};

TEST(BufferedReaderDeathTest, MisuseIsACheck) {
  EXPECT_DEATH(InSimulation([]() -> Task<void> {
                 io::BufferedReader in(Liar{}, {.buffer_size = 8});
                 static_cast<void>((co_await in.ReadLine()).ok());
               }),
               "a Read\\(\\) into 8 bytes says that it has read 9");
  EXPECT_DEATH(InSimulation([]() -> Task<void> {
                 io::BufferedReader in(ScriptedReader("x"));
                 in.Consume(1);
                 co_return;
               }),
               "Consume\\(1\\) of a BufferedReader with 0 bytes");
}

}  // namespace
}  // namespace weft::testing
