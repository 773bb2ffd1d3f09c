// The Redis of the examples, beside a test that is its client: on a runtime of each backend.
#ifndef WEFT_TESTS_EXAMPLES_REDIS_SERVER_H_
#define WEFT_TESTS_EXAMPLES_REDIS_SERVER_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/redis/server.h"
#include "examples/redis/store.h"
#include "weft/weft.h"

namespace redis {

class BesideAServer : public testing::TestWithParam<weft::IoBackend> {
 protected:
  // Asks the server to end.
  using Stop = std::function<void()>;
  using Body = std::function<weft::Task<void>(weft::net::SocketAddress server, Stop stop)>;

  static void WithServer(ServerOptions options, Body body) {
    auto runtime = weft::Runtime::Create({.parallelism = 2, .io = GetParam()});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    EXPECT_EQ((*runtime)->io_backend(), GetParam() == weft::IoBackend::kUring ? "io_uring" : "epoll");
    const absl::Status done = (*runtime)->Run(ServeDuring(std::move(body), options));
    EXPECT_TRUE(done.ok()) << done;
  }

 private:
  static weft::Task<absl::Status> ServeDuring(Body body, ServerOptions options) {
    constexpr absl::Duration kGuard = absl::Seconds(120);  // a test that waits for ever ends with this
    auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
    if (!listener.ok()) co_return listener.status();
    auto address = listener->local_address();
    if (!address.ok()) co_return address.status();
    Store store;
    weft::ShutdownOnFailure serving("serving");
    serving.Fork(Serve(*listener, store, options));
    absl::Status done = co_await weft::WithTimeout(kGuard, body(*address, [&] { serving.Shutdown(); }));
    serving.Shutdown();
    absl::Status served = co_await serving.Join();
    co_return done.ok() ? served : done;
  }
};

#define REDIS_ON_BACKENDS(Suite)                                                                           \
  INSTANTIATE_TEST_SUITE_P(Backends, Suite, testing::Values(weft::IoBackend::kUring, weft::IoBackend::kEpoll), \
                           [](const auto& test) {                                                          \
                             return test.param == weft::IoBackend::kUring ? "Uring" : "Epoll";             \
                           })

}  // namespace redis

#endif  // WEFT_TESTS_EXAMPLES_REDIS_SERVER_H_
