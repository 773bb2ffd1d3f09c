// net::Connect() and Shutdown() without memory. Goal: whichever allocation fails, of a frame or another one, the call
// ends, with a stream or a failure, and nothing stays open. Method: each allocation in turn, on the one carrier of a
// runtime; the first two addresses refuse, so that later attempts depend on earlier ones.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/coro/frame_fault.h"
#include "tests/support/allocator.h"
#include "tests/support/nobody.h"
#include "weft/cancellation.h"
#include "weft/net/connect.h"
#include "weft/net/socket_address.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/runtime.h"
#include "weft/task.h"
#include "weft/testing/census.h"

namespace weft::testing {
namespace {

using net::SocketAddress;
using net::TcpListener;
using net::TcpStream;

enum class Of { kFrames, kAllElse };
constexpr int64_t kForever = internal::ScopedFrameFault::kForever;

struct Fault {
  IoBackend backend;
  Of of;
  int64_t times;
};

// The allocations of this OS thread, by operator new, that succeed before one fails. Negative: all do.
thread_local int64_t left = -1;

class ConnectMemoryTest : public ::testing::TestWithParam<Fault> {
 protected:
  ConnectMemoryTest() {
    may_allocate = [](size_t, bool) noexcept { return left < 0 || left-- > 0; };
  }

  // One connect without that allocation. True: there was no such allocation.
  static Task<bool> ConnectsWithout(int64_t allocation, std::vector<SocketAddress> addresses) {
    std::optional<absl::StatusOr<TcpStream>> connected = absl::UnknownError("it threw");
    bool failed;
    {
      std::optional<internal::ScopedFrameFault> frames;
      auto connect = MoveOnAfter(absl::Seconds(60), net::ConnectToAny(std::move(addresses)));
      if (GetParam().of == Of::kFrames) {
        frames.emplace(
            internal::ScopedFrameFault::Options{.first = allocation, .times = GetParam().times, .here = true});
      } else {
        left = allocation - 1;
      }
      try {
        connected = co_await std::move(connect);
      } catch (const std::bad_alloc&) {
      }
      failed = frames.has_value() ? frames->allocations() >= allocation : left < 0;
      left = -1;
    }
    EXPECT_TRUE(connected.has_value()) << "without allocation " << allocation << " it waits for ever";
    EXPECT_TRUE(failed || (connected.has_value() && connected->ok())) << allocation;
    co_return !failed;
  }
};

TEST_P(ConnectMemoryTest, WhicheverAllocationFailsItEnds) {
  // Without spare carriers: they have descriptors of their own.
  const RuntimeOptions options = {.parallelism = 1, .max_pool_size = 1, .io = GetParam().backend};
  (*Runtime::Create(options))->Run([]() -> Task<void> {
    const Nobody nobody;
    TcpListener somebody = *TcpListener::Bind("127.0.0.1:0");
    const std::vector<SocketAddress> addresses = {nobody.address(), nobody.address(), *somebody.local_address()};
    EXPECT_TRUE((co_await net::ConnectToAny(addresses)).ok());  // a carrier opens its backend when it is first used
    const int64_t before = Census::Take().descriptors;
    for (int64_t allocation = 1; !co_await ConnectsWithout(allocation, addresses); ++allocation) {
      EXPECT_EQ(Census::Take().descriptors, before) << allocation;
    }
  }());
}

TEST(ShutdownMemoryTest, AShutdownThatFailsNeedsNoMemory) {
  may_allocate = [](size_t, bool) noexcept { return left < 0 || left-- > 0; };
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    TcpListener listener = *TcpListener::Bind("127.0.0.1:0");
    TcpStream stream = *co_await TcpStream::Connect(*listener.local_address());
    stream.Close();
    listener.Close();
    left = 0;
    stream.Shutdown();
    listener.Shutdown();
    left = -1;
  }());
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, ConnectMemoryTest,
    ::testing::Values(Fault{IoBackend::kUring, Of::kFrames, 1}, Fault{IoBackend::kUring, Of::kFrames, kForever},
                      Fault{IoBackend::kUring, Of::kAllElse, 1}, Fault{IoBackend::kEpoll, Of::kFrames, 1},
                      Fault{IoBackend::kEpoll, Of::kFrames, kForever}, Fault{IoBackend::kEpoll, Of::kAllElse, 1}));

}  // namespace
}  // namespace weft::testing
