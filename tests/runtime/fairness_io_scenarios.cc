// Threads that become runnable because something has come for them, on each kind of descriptor. (fairness_test.cc)
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/runtime/duties.h"
#include "tests/runtime/fairness.h"
#include "tests/support/lines.h"
#include "weft/net/tcp_listener.h"
#include "weft/net/tcp_stream.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

// What many wait for comes for all of them at once.
template <class Line>
Task<void> CompletionsCome(Fairness& fairness, int count, int yield) {
  constexpr int kRounds = 3;
  fairness.Expect(count + yield + 1);
  typename Line::Source source;
  std::vector<std::unique_ptr<Line>> lines;
  Fairness::Moment sent{};
  bool done = false;
  int left = 0;
  FewAtATime few;
  AwaitAll scope;
  for (int i = 0; i < count; ++i) {
    lines.push_back(std::make_unique<Line>(co_await Line::Open(source)));
    scope.Fork([&, &line = *lines.back()]() -> Task<void> {
      few.Waits();
      for (int round = 0; round < kRounds; ++round) {
        EXPECT_TRUE(co_await line.Receive());
        fairness.Ran(sent);
        --left;
      }
    });
    co_await few.Forked();
  }
  co_await few.All();
  for (int i = 0; i < yield; ++i) scope.Fork(YieldsUntil(fairness, done));
  for (int round = 0; round < kRounds; ++round) {
    // They wait by now, also where a wait is handed to the kernel only when its carrier looks.
    for (int i = 0; i < 2 * internal::Duties::kDispatchesPerPoll; ++i) co_await Yield();
    left = count;
    sent = fairness.Now();
    for (const auto& line : lines) line->Send();
    co_await UntilNone(left);
  }
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}
template <class Line>
Task<void> ManyCome(Fairness& fairness) {
  return CompletionsCome<Line>(fairness, 450, 5);
}
// Of four carriers some sleep while one thread yields: what they wait for comes all the same.
template <class Line>
Task<void> FewCome(Fairness& fairness) {
  return CompletionsCome<Line>(fairness, 3, 0);
}

// Accepts go on beside connections of which each has the next bytes as soon as it has read.
Task<void> AcceptsGoOnBesideReads(Fairness& fairness) {
  constexpr int kRead = 60;
  constexpr int kAccept = 30;
  fairness.Expect(kRead + kAccept + 2);
  TcpLine::Source source;
  bool done = false;
  FewAtATime few;
  AwaitAll scope;
  std::vector<std::unique_ptr<TcpLine>> lines;
  for (int i = 0; i < kRead; ++i) {
    lines.push_back(std::make_unique<TcpLine>(co_await TcpLine::Open(source)));
    scope.Fork([&, &line = *lines.back()]() -> Task<void> {
      few.Waits();
      while (!done) {
        line.Send();
        const Fairness::Moment sent = fairness.Now();
        EXPECT_TRUE(co_await line.Receive());
        fairness.Ran(sent);
      }
    });
    co_await few.Forked();
  }
  co_await few.All();
  std::vector<RawClient> clients;
  for (int i = 0; i < kAccept; ++i) {
    clients.emplace_back(*source.listener.local_address());
    const Fairness::Moment came = fairness.Now();
    EXPECT_TRUE((co_await source.listener.Accept()).ok());
    fairness.Ran(came);
  }
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

// All of a storm of connections wait in the backlog before the first is accepted, and those that were accepted keep on
// running.
Task<void> ConnectionsCome(Fairness& fairness) {
  constexpr int kConnections = 450;
  constexpr int kYield = 100;
  fairness.Expect(kConnections + kYield + 1);
  absl::StatusOr<net::TcpListener> listener = net::TcpListener::Bind("127.0.0.1:0");
  EXPECT_TRUE(listener.ok()) << listener.status();
  std::vector<RawClient> clients;
  for (int i = 0; i < kConnections; ++i) clients.emplace_back(*listener->local_address());
  bool done = false;
  int left = kConnections;
  AwaitAll scope;
  for (int i = 0; i < kYield; ++i) scope.Fork(YieldsUntil(fairness, done));
  co_await Yield();
  const Fairness::Moment came = fairness.Now();
  for (int i = 0; i < kConnections; ++i) {
    absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
    EXPECT_TRUE(stream.ok()) << stream.status();
    scope.Fork([&, stream = *std::move(stream)]() -> Task<void> {
      fairness.Ran(came);
      --left;
      co_await YieldsUntil(fairness, done);
    });
  }
  co_await UntilNone(left);
  done = true;
  (co_await scope.Join()).IgnoreFailures();
}

}  // namespace

std::vector<Scenario> IoScenarios() {
  return {
      {"ManyOfTcp", &ManyCome<TcpLine>},
      {"ManyOfUnixStreams", &ManyCome<UnixLine>},
      {"ManyOfUnixDatagrams", &ManyCome<UnixDatagramLine>},
      {"ManyOfUdp", &ManyCome<UdpLine>},
      {"ManyOfPipes", &ManyCome<PipeLine>},
      {"ManyOfForeignDescriptors", &ManyCome<ForeignLine>},
      {"FewOfTcp", &FewCome<TcpLine>},
      {"FewOfUnixDatagrams", &FewCome<UnixDatagramLine>},
      {"FewOfPipes", &FewCome<PipeLine>},
      {"FewOfForeignDescriptors", &FewCome<ForeignLine>},
      {"Connections", &ConnectionsCome},
      {"AcceptsBesideReads", &AcceptsGoOnBesideReads},
  };
}

}  // namespace weft::testing
