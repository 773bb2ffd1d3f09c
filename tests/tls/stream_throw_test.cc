// A tls::Stream without memory for the frames of its coroutines. Goal: what a failed write has encrypted is never sent
// behind its back. Method: each frame of a Write() in turn.
#include <cstdint>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "tests/tls/tls_ends.h"
#include "weft/task.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/tls/stream.h"

namespace weft::testing {
namespace {

TEST(TlsStreamThrowTest, AWriteThatThrowsHasSentNothingOrEndsTheWriting) {
  Machine machine;
  Simulation({.machine = &machine}).Run([]() -> Task<void> {
    int whole = 0, unsent = 0, ended = 0;
    for (int64_t frame = 1; whole == 0; ++frame) {
      auto [client, server] = co_await Secure();
      bool thrown = false;
      {
        const internal::ScopedFrameFault fault({.first = frame, .here = true});
        try {
          EXPECT_TRUE((co_await client.Write("first ")).ok());
        } catch (const std::bad_alloc&) {
          thrown = true;
        }
      }
      const absl::Status next = co_await client.Write("second");
      if (next.ok()) {
        const std::string expected = thrown ? "second" : "first second";
        EXPECT_EQ(co_await ReadSome(server, expected.size()), expected) << frame;
        ++(thrown ? unsent : whole);
        continue;
      }
      ++ended;
      EXPECT_EQ(next.code(), absl::StatusCode::kFailedPrecondition) << next;
      EXPECT_EQ(co_await client.ShutdownWrite(), next);
      EXPECT_TRUE((co_await server.Write("still read")).ok());
      EXPECT_EQ(co_await ReadSome(client, 10), "still read");
    }
    EXPECT_EQ(unsent, 1);  // its own frame
    EXPECT_EQ(ended, 2);   // those between it and the transport
  }());
}

}  // namespace
}  // namespace weft::testing
