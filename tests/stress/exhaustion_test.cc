// A server that runs out of what the system gives. Goal: the HTTP server of the examples outlives each shortage while
// very many requests come, and afterwards answers every request as ever; nothing is left. Method: in a process of its
// own, on each backend, under a limit of descriptors, OS threads or memory, on rings of io_uring that hold next to
// nothing, and with clients that read slowly out of small buffers; a plain client in another process sends the
// requests, and a hundred more when the limit is lifted. (Row F3)
//
// WEFT_EXHAUSTION_REQUESTS overrides the number of requests under each limit.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <new>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "lib/driver/driver.h"
#include "lib/driver/uring/uring_backend.h"
#include "lib/os/clock.h"
#include "lib/os/worker_pool.h"
#include "lib/runtime/os_host.h"
#include "lib/runtime/runtime_core.h"
#include "tests/stress/listener_buffers.h"
#include "tests/stress/memory_use.h"
#include "tests/stress/plain_client.h"
#include "tests/support/child_process.h"
#include "tests/support/proof_row.h"
#include "weft/blocking.h"
#include "weft/testing/census.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

constexpr int kCarriers = 2;
constexpr int kAtOnce = 200;
constexpr int64_t kRequestsAfterwards = 100;
constexpr rlim_t kDescriptors = 64;
constexpr int64_t kMoreMemory = 16 << 20;
constexpr size_t kHeldBytes = 4 << 20;  // by each request, under the limit of memory; malloc has some 100 MiB reserved
constexpr size_t kAnswerBytes = 64 * 1024;
constexpr int kBufferBytes = 4 * 1024;
constexpr unsigned kSubmissions = 2;
constexpr int kCompletions = 4;
constexpr uid_t kNobody = 65'534;

enum class Shortage { kDescriptors, kThreads, kMemory, kRings, kSendBuffers };

struct Case {
  Shortage shortage;
  IoBackend io;

  friend std::ostream& operator<<(std::ostream& out, const Case& shown) {
    constexpr const char* kNames[] = {"Descriptors", "Threads", "Memory", "Rings", "SendBuffers"};
    return out << kNames[static_cast<int>(shown.shortage)] << (shown.io == IoBackend::kUring ? "Uring" : "Epoll");
  }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const IoBackend io : {IoBackend::kUring, IoBackend::kEpoll}) {
    for (const Shortage each : {Shortage::kDescriptors, Shortage::kThreads, Shortage::kSendBuffers}) {
      cases.push_back({each, io});
    }
    if (!MemoryUse::Now().is_sanitizers()) cases.push_back({Shortage::kMemory, io});
  }
  cases.push_back({Shortage::kRings, IoBackend::kUring});
  return cases;
}

void LimitTo(__rlimit_resource what, rlim_t value) {
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(what, &limit), 0);
  limit.rlim_cur = std::min(value, limit.rlim_max);
  ASSERT_EQ(::setrlimit(what, &limit), 0);
}

// The number of OS threads is not limited for root.
void BecomeNobody() {
  if (::geteuid() != 0) return;
  ASSERT_EQ(::setresgid(kNobody, kNobody, kNobody), 0);
  ASSERT_EQ(::setresuid(kNobody, kNobody, kNobody), 0);
  ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);  // or /proc/self is still root's
}

void Impose(Shortage shortage) {
  if (shortage == Shortage::kDescriptors) LimitTo(RLIMIT_NOFILE, kDescriptors);
  if (shortage == Shortage::kThreads) LimitTo(RLIMIT_NPROC, 1);
  if (shortage == Shortage::kMemory) LimitTo(RLIMIT_AS, static_cast<rlim_t>(MemoryUse::Now().mapped + kMoreMemory));
}

void Lift() {
  for (const __rlimit_resource each : {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_AS}) LimitTo(each, RLIM_INFINITY);
}

// Rings that hold next to nothing: there are always more operations than completions have places.
absl::StatusOr<std::unique_ptr<Runtime>> RuntimeOnTinyRings() {
  absl::StatusOr<std::shared_ptr<internal::Backend>> backend = internal::UringBackend::Create(
      {.submission_entries = kSubmissions, .completion_entries = kCompletions, .drivers = kCarriers});
  if (!backend.ok()) return backend.status();
  internal::RuntimeConfig config;
  config.parallelism = kCarriers;
  config.clock = &internal::Clock::Real();
  config.backend = *backend;
  auto host = std::make_unique<internal::OsHost>(
      *std::move(backend), internal::WorkerPool::Options{.name = "weft-call", .max_workers = 1, .max_queued = 1});
  auto core = std::make_unique<internal::RuntimeCore>(std::move(config), std::move(host));
  if (absl::Status started = core->Start(); !started.ok()) return started;
  return std::make_unique<Runtime>(std::move(core));
}

class Exhausted {
 public:
  explicit Exhausted(Case tried) : tried_(tried) {}

  // Returns how many requests had an answer, of whatever status.
  int64_t Serve(int64_t requests) {
    absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
    EXPECT_TRUE(listener.ok()) << listener.status();
    ClientLoad load = {.port = listener->local_address()->port(),
                       .connections = requests,
                       .at_once = kAtOnce,
                       .request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       .answer = http::Serialize(Answer())};
    if (tried_.shortage == Shortage::kSendBuffers) {
      ShrinkSendBuffersOfListener(kBufferBytes);
      load.receive_bytes = kBufferBytes;
    }
    PlainClient client(load);
    load.connections = kRequestsAfterwards;
    load.at_once = 1;
    load.receive_bytes = 0;
    PlainClient client_afterwards(load);

    if (tried_.shortage == Shortage::kThreads) BecomeNobody();
    const absl::StatusOr<std::unique_ptr<Runtime>> runtime =
        tried_.shortage == Shortage::kRings ? RuntimeOnTinyRings()
                                            : Runtime::Create({.parallelism = kCarriers, .io = tried_.io});
    if (!runtime.ok()) {
      ADD_FAILURE() << runtime.status();
      return 0;
    }
    runtime_ = runtime->get();
    http::Server server({}, [this](const http::Request&) { return Handle(); });
    Event stop;
    absl::Status served;
    std::thread serving([&] { served = runtime_->Run(server.Serve(*listener, stop)); });
    Impose(tried_.shortage);
    client.Go();
    const ClientReport report = client.Finish();
    const int64_t peak = server.counters().connections_peak;
    Lift();
    client_afterwards.Go();
    const ClientReport afterwards = client_afterwards.Finish();
    stop.Set();
    serving.join();

    std::cout << tried_ << ": " << report << "; " << peak << " connections open at the server\n";
    EXPECT_TRUE(served.ok()) << served;
    Check(report, peak, requests);
    EXPECT_EQ(afterwards, (ClientReport{.answered = kRequestsAfterwards, .most = 1})) << afterwards;
    return report.answered + report.refused;
  }

 private:
  // The clients ask for one.
  static http::Response Answer() { return {.body = std::string(kAnswerBytes, 'a'), .keep_alive = false}; }

  // Was it short, and did every request end as it then should? (Of rings, and of room to send, it always is.)
  void Check(const ClientReport& report, int64_t peak, int64_t requests) const {
    EXPECT_EQ(report.answered + report.refused, requests) << report;
    EXPECT_EQ(report.broken, 0) << report;
    if (tried_.shortage == Shortage::kDescriptors) EXPECT_LT(peak, static_cast<int64_t>(kDescriptors));
    if (tried_.shortage == Shortage::kThreads) {
      EXPECT_EQ(report.refused, requests) << report;
    } else if (tried_.shortage == Shortage::kMemory) {
      EXPECT_GT(report.refused, 0) << report;
    } else {
      EXPECT_EQ(report.answered, requests) << report;
    }
  }

  Task<http::Response> Handle() {
    switch (tried_.shortage) {
      case Shortage::kThreads:
        if (!(co_await Blocking([] { return 0; })).ok()) co_return http::Response{.status = 503};
        break;
      case Shortage::kMemory:
        co_await HoldMemory();
        break;
      case Shortage::kRings:
        // Every client that waits for its answer is an operation: it may hang up.
        while (CountOperations() <= kCarriers * kCompletions) co_await Sleep(absl::Milliseconds(1));
        break;
      case Shortage::kDescriptors:
      case Shortage::kSendBuffers:
        break;
    }
    co_return Answer();
  }

  // Until another request has found no memory. The server answers those that throw with 500.
  Task<void> HoldMemory() {
    std::string memory;
    try {
      memory.reserve(kHeldBytes);
    } catch (const std::bad_alloc&) {
      was_short_ = true;
      throw;
    }
    do {
      co_await Sleep(absl::Milliseconds(5));
    } while (!was_short_);
  }

  int64_t CountOperations() {
    most_operations_ = std::max<int64_t>(most_operations_, runtime_->core().Counts().operations);
    return most_operations_;
  }

  const Case tried_;
  Runtime* runtime_ = nullptr;
  std::atomic<bool> was_short_ = false;       // of memory
  std::atomic<int64_t> most_operations_ = 0;  // in flight, as the handlers saw them
};

class ExhaustionTest : public ::testing::TestWithParam<Case> {};

TEST_P(ExhaustionTest, TheServerOutlivesTheShortageAndLeavesNothing) {
  const char* const text = ::getenv("WEFT_EXHAUSTION_REQUESTS");
  const int64_t requests = text != nullptr ? ::atoll(text) : 500;
  constexpr const char* kWords[] = {"descriptors", "OS threads", "memory", "places in its rings", "room to send"};
  const std::string what = absl::StrCat("requests to a server that is short of ",
                                        kWords[static_cast<int>(GetParam().shortage)],
                                        GetParam().io == IoBackend::kUring ? ", io_uring" : ", epoll");
  ProofRow row("F3", what);
  const ChildEnd end = InChild([requests] {
    const Census before = Census::Take();
    EXPECT_EQ(Exhausted(GetParam()).Serve(requests), requests);
    EXPECT_EQ(Census::Take(), before);
    std::cout.flush();
    ::_exit(HasFailure() ? 1 : 0);
  });
  EXPECT_TRUE(end.Exited(0)) << end;
  row.AddRuns(requests);
}

INSTANTIATE_TEST_SUITE_P(Shortages, ExhaustionTest, ::testing::ValuesIn(Cases()), ::testing::PrintToStringParamName());

}  // namespace
}  // namespace weft::testing
