// Who forks, where, and what uses all that a runtime has.
#ifndef WEFT_TESTS_RUNTIME_FORK_FIXTURE_H_
#define WEFT_TESTS_RUNTIME_FORK_FIXTURE_H_

#include <functional>
#include <memory>
#include <ostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/child_process.h"
#include "weft/weft.h"

namespace weft::testing {

using net::TcpListener;
using net::TcpStream;

inline Task<int> Give(int value) { co_return value; }

struct Connected {
  TcpStream client;
  TcpStream server;
};

inline Task<Connected> Connect(TcpListener& listener) {
  ShutdownOnFailure scope;
  auto client = scope.Fork(TcpStream::Connect(listener.local_address().value()));
  auto server = scope.Fork([&listener]() -> Task<absl::StatusOr<TcpStream>> { co_return co_await listener.Accept(); });
  const absl::Status joined = co_await scope.Join();
  EXPECT_TRUE(joined.ok()) << joined;
  co_return Connected{std::move(client).get(), std::move(server).get()};
}

// A word there and back. False if it was lost.
inline Task<bool> Echo(Connected& connected) {
  char there[4], back[4];
  ShutdownOnFailure scope;
  scope.Fork([&]() -> Task<absl::Status> {
    absl::Status read = co_await connected.server.ReadExactly(absl::MakeSpan(there));
    if (!read.ok()) co_return read;
    co_return co_await connected.server.Write(absl::string_view(there, sizeof(there)));
  });
  scope.Fork([&]() -> Task<absl::Status> {
    co_await Yield();
    co_return co_await connected.client.Write("weft");
  });
  absl::Status read = co_await connected.client.ReadExactly(absl::MakeSpan(back));
  absl::Status joined = co_await scope.Join();
  co_return read.ok() && joined.ok() && absl::string_view(back, sizeof(back)) == "weft";
}

// Uses whatever a runtime has: carriers, timers, sockets, scopes.
inline Task<bool> UseEverything() {
  TcpListener listener = TcpListener::Bind("127.0.0.1:0").value();
  Connected connected = co_await Connect(listener);
  AwaitAll scope;
  for (int i = 0; i < 10; ++i) scope.Fork([]() -> Task<void> { co_await Sleep(absl::Microseconds(100)); });
  const bool echoed = co_await Echo(connected);
  (co_await scope.Join()).IgnoreFailures();
  co_return echoed;
}

// ---- Who forks, and where.

enum class Forker { kOsThread, kVirtualThread };

struct Case {
  IoBackend io;
  Forker forker;

  friend std::ostream& operator<<(std::ostream& out, const Case& place) {
    return out << (place.io == IoBackend::kUring ? "IoUring" : "Epoll")
               << (place.forker == Forker::kOsThread ? "OsThread" : "VirtualThread");
  }
};

class ForkFixture : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Runtime> NewRuntime() const { return *Runtime::Create({.parallelism = 2, .io = GetParam().io}); }

  // Forks where the case says, of `runtime`.
  ChildEnd Fork(Runtime& runtime, const std::function<void()>& body) const {
    if (GetParam().forker == Forker::kOsThread) return InChild(body);
    return runtime.Run([](const std::function<void()>& in_child) -> Task<ChildEnd> {
      co_await Yield();
      co_return InChild(in_child);
    }(body));
  }
};

#define WEFT_FORK_EVERYWHERE(Suite)                                                                         \
  INSTANTIATE_TEST_SUITE_P(                                                                                 \
      Everywhere, Suite,                                                                                    \
      ::testing::Values(::weft::testing::Case{IoBackend::kUring, ::weft::testing::Forker::kOsThread},       \
                        ::weft::testing::Case{IoBackend::kUring, ::weft::testing::Forker::kVirtualThread},  \
                        ::weft::testing::Case{IoBackend::kEpoll, ::weft::testing::Forker::kOsThread},       \
                        ::weft::testing::Case{IoBackend::kEpoll, ::weft::testing::Forker::kVirtualThread}), \
      ::testing::PrintToStringParamName())

inline constexpr char kRefused[] =
    "Run() in a child of fork() on a runtime that was started before the fork, and whose carriers are threads of the "
    "parent only; start one here with Runtime::Create()";

}  // namespace weft::testing

#endif  // WEFT_TESTS_RUNTIME_FORK_FIXTURE_H_
