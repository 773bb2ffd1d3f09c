// Goal: an exception loses nothing either: of a stream that throws, and of memory that is not there for a frame or for
// what is yielded.
#include <cstddef>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/io/scripted.h"
#include "tests/support/allocator.h"
#include "weft/io/buffer.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/buffered_writer.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft::testing {
namespace {

void InSimulation(std::function<Task<void>()> body) {
  Simulation simulation;
  simulation.Run(body());
}

// Throws in place of its second read, or write.
class Throwing {
 public:
  Task<absl::StatusOr<size_t>> Read(MutableBuffer into) {
    if (++calls_ == 2) throw std::runtime_error("as planned");
    *into.data() = calls_ < 5 ? 'x' : '\n';
    co_return 1;
  }
  Task<absl::Status> Write(ConstBuffer) {
    if (++calls_ == 2) throw std::runtime_error("as planned");
    co_return absl::OkStatus();
  }

 private:
  int calls_ = 0;
};

TEST(BufferedThrowTest, AReaderThatThrowsLosesNothing) {
  InSimulation([]() -> Task<void> {
    io::BufferedReader in(Throwing{});
    bool thrown = false;
    try {
      static_cast<void>((co_await in.ReadLine()).ok());
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(*co_await in.ReadLine(), "xxx");
  });
}

TEST(BufferedThrowTest, AfterAWriteThatThrowsNobodyKnowsWhatWasSent) {
  InSimulation([]() -> Task<void> {
    io::BufferedWriter out(Throwing{}, {.buffer_size = 0});
    EXPECT_TRUE((co_await out.Write("x")).ok());
    bool thrown = false;
    try {
      static_cast<void>((co_await out.Write("x")).ok());
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ((co_await out.Write("x")).code(), absl::StatusCode::kAborted);
  });
}

TEST(BufferedThrowTest, WithoutMemoryForAFrameNothingIsLost) {
  InSimulation([]() -> Task<void> {
    ScriptedReader from("a line\n");
    ScriptedWriter to;
    io::BufferedReader in(from);
    io::BufferedWriter out(to);
    EXPECT_TRUE((co_await out.Write("text")).ok());
    for (int first = 1; first <= 2; ++first) {
      int thrown = 0;
      try {
        const internal::ScopedFrameFault fault({.first = first});
        static_cast<void>((co_await in.ReadLine()).ok());
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
      try {
        const internal::ScopedFrameFault fault({.first = 1});
        static_cast<void>((co_await out.Flush()).ok());
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
      EXPECT_EQ(thrown, 2);
    }
    EXPECT_EQ(*co_await in.ReadLine(), "a line");
    EXPECT_TRUE((co_await out.Flush()).ok());
    EXPECT_EQ(to.sent, "text");
  });
}

constexpr size_t kOddSize = 12'347;

TEST(BufferedThrowTest, WithoutMemoryForTheTextItStaysInTheBuffer) {
  InSimulation([]() -> Task<void> {
    const std::string text(kOddSize - 1, 'x');  // and its terminating zero
    ScriptedReader from(text);
    io::BufferedReader in(from);
    bool thrown = false;
    try {
      may_allocate = [](size_t bytes, bool throws) noexcept { return !throws || bytes != kOddSize; };
      static_cast<void>((co_await in.ReadAll()).ok());
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    may_allocate = nullptr;
    EXPECT_TRUE(thrown);
    EXPECT_EQ(in.buffered(), text.size());
    EXPECT_EQ(*co_await in.ReadAll(), text);
  });
}

}  // namespace
}  // namespace weft::testing
