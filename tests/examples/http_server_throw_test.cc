// A handler that throws. Goal: the client has an answer, and the connection lives on. Method: as http_server_test.cc.
#include <gtest/gtest.h>

#include <stdexcept>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "weft/weft.h"

namespace http {
namespace {

weft::Task<Response> Throw(const Request&) {
  throw std::runtime_error("broken");
  co_return Response{};
}

weft::Task<absl::Status> ThrowTwice() {
  auto listener = weft::net::TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  auto address = listener->local_address();
  if (!address.ok()) co_return address.status();
  Server server({}, Throw);
  weft::Event stop;
  weft::ShutdownOnFailure scope;
  scope.Fork(server.Serve(*listener, stop));
  {
    Pool pool(*address);
    const Request request;
    for (int i = 0; i < 2; ++i) {
      absl::StatusOr<Response> response = co_await pool.Call(request);
      if (!response.ok()) co_return co_await scope.Close(response.status());
      EXPECT_EQ(response->status, 500);
      EXPECT_EQ(response->body, "internal error\n");  // no word about us
    }
    EXPECT_EQ(pool.stats().opened, 1);
  }
  stop.Set();
  co_return co_await scope.Join();
}

TEST(HttpServerThrowTest, AHandlerThatThrowsIsA500) {
  const absl::Status done = weft::Run(ThrowTwice());
  EXPECT_TRUE(done.ok()) << done;
}

}  // namespace
}  // namespace http
