// A descriptor that two runtimes use, one after the other or at once. Goal: Close() by any thread ends what is pending
// in either, and the descriptor's number can be used again by both. Method: every pair of backends; the first runtime
// has ended, is idle, or has an operation pending, when the second one's is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/runtime/runtime_core.h"
#include "weft/io/closed.h"
#include "weft/io/pipe.h"
#include "weft/io/unique_descriptor.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

enum class First { kHasEnded, kIsIdle, kWaitsToo };

class SeveralRuntimesTest : public ::testing::TestWithParam<std::tuple<IoBackend, IoBackend, First>> {
 protected:
  static std::unique_ptr<Runtime> New(IoBackend io) {
    return Runtime::Create({.parallelism = 1, .held_carrier_threshold = absl::ZeroDuration(), .io = io}).value();
  }
};
INSTANTIATE_TEST_SUITE_P(Everywhere, SeveralRuntimesTest,
                         ::testing::Combine(::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                                            ::testing::Values(IoBackend::kUring, IoBackend::kEpoll),
                                            ::testing::Values(First::kHasEnded, First::kIsIdle, First::kWaitsToo)));

// One that begins a read which does not end.
Task<void> Touch(io::PipeReader& reader) {
  char byte[1];
  EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), reader.Read(byte))).has_value());
}

// Reads until somebody closes it.
std::thread Wait(Runtime& runtime, io::PipeReader& reader) {
  std::thread waits([&] {
    runtime.Run([&]() -> Task<void> {
      char byte[1];
      EXPECT_TRUE(io::IsClosed((co_await reader.Read(byte)).status()));
    });
  });
  while (runtime.core().Counts().operations < 1) std::this_thread::yield();
  return waits;
}

TEST_P(SeveralRuntimesTest, AClosedDescriptorEndsWhatIsPendingAndItsNumberIsUsedAgain) {
  const auto [first_io, second_io, first_does] = GetParam();
  std::unique_ptr<Runtime> first = New(first_io);
  const std::unique_ptr<Runtime> second = New(second_io);
  io::PipeEnds pipe = io::MakePipe().value();
  const int number = pipe.reader.native_handle();
  first->Run([&] { return Touch(pipe.reader); });
  second->Run([&] { return Touch(pipe.reader); });
  first->Run([&] { return Touch(pipe.reader); });
  std::thread first_waits;
  if (first_does == First::kHasEnded) first = nullptr;
  if (first_does == First::kWaitsToo) first_waits = Wait(*first, pipe.reader);
  std::thread second_waits = Wait(*second, pipe.reader);
  pipe.reader.Close();
  if (first_waits.joinable()) first_waits.join();
  second_waits.join();
  EXPECT_FALSE(pipe.reader.is_open());
  // The next one with this number wakes whoever waits for it.
  std::vector<io::UniqueDescriptor> lower;  // that runtime has given back
  do {
    lower.emplace_back(::dup(STDIN_FILENO));
    ASSERT_GE(lower.back().get(), 0);
  } while (lower.back().get() < number);
  ASSERT_EQ(lower.back().get(), number);
  lower.pop_back();
  io::PipeEnds next = io::MakePipe().value();
  EXPECT_EQ(next.reader.native_handle(), number);
  for (Runtime* const runtime : {second.get(), first.get()}) {
    if (runtime == nullptr) continue;
    std::thread reads([&] {
      runtime->Run([&]() -> Task<void> {
        char byte[1];
        EXPECT_EQ(*co_await next.reader.Read(byte), 1u);
      });
    });
    while (runtime->core().Counts().operations < 1) std::this_thread::yield();
    EXPECT_EQ(::write(next.writer.native_handle(), "x", 1), 1);
    reads.join();
  }
}

}  // namespace
}  // namespace weft::testing
