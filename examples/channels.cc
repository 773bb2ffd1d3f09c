// Channels: a producer and a consumer, a pipeline of four stages, a bounded pool, and a fan-in with a time limit.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/channel/channel.h"
#include "weft/channel/select.h"
#include "weft/weft.h"

namespace {

struct Order {
  std::string item;
};

void Handle(const Order& order) { std::printf("order: %s\n", order.item.c_str()); }

// clang-format off
weft::Task<void> Sell(std::vector<Order> batch) {
  //! [channel]
  weft::Channel<Order> orders(64);            // 0: rendezvous; kUnbounded; kConflated keeps the newest
  weft::AwaitAll scope;                       // after what its children refer to: it goes first
  scope.Fork([&]() -> weft::Task<void> {
    for (Order& o : batch) if (!co_await orders.Send(std::move(o))) co_return;  // false: closed; `o` is as it was
    orders.Close();                           // or Close(status): receivers see why, after what is kept
  });
  while (std::optional<Order> order = co_await orders.Receive()) Handle(*order);  // empty: closed and drained
  //! [channel]
  (co_await scope.Join()).IgnoreFailures();
}
// clang-format on

// ---- A pipeline: lines, words, the long ones, printed. Each stage closes what it fills.

weft::Task<void> Lines(weft::Channel<std::string>& out) {
  for (const char* line : {"the quick brown fox", "jumps over the lazy dog"}) co_await out.Send(std::string(line));
  out.Close();
}

weft::Task<void> Words(weft::Channel<std::string>& in, weft::Channel<std::string>& out) {
  while (std::optional<std::string> line = co_await in.Receive()) {
    for (size_t begin = 0; begin <= line->size();) {
      const size_t end = std::min(line->find(' ', begin), line->size());
      co_await out.Send(line->substr(begin, end - begin));
      begin = end + 1;
    }
  }
  out.Close();
}

weft::Task<void> Long(weft::Channel<std::string>& in, weft::Channel<std::string>& out) {
  while (std::optional<std::string> word = co_await in.Receive()) {
    if (word->size() > 4) co_await out.Send(*std::move(word));
  }
  out.Close();
}

weft::Task<void> Pipeline() {
  weft::Channel<std::string> lines(1), words(8), long_words(0);
  weft::AwaitAll stages;
  stages.Fork(Lines(lines));
  stages.Fork(Words(lines, words));
  stages.Fork(Long(words, long_words));
  while (std::optional<std::string> word = co_await long_words.Receive()) std::printf("word: %s\n", word->c_str());
  (co_await stages.Join()).IgnoreFailures();
}

// ---- A pool: three workers share the jobs, and nobody makes jobs faster than they are done.

weft::Task<int> Pool() {
  weft::Channel<int> jobs(3), squares(weft::kUnbounded);
  weft::AwaitAll workers;
  for (int i = 0; i < 3; ++i) {
    workers.Fork([&]() -> weft::Task<void> {
      while (std::optional<int> job = co_await jobs.Receive()) co_await squares.Send(*job * *job);
    });
  }
  for (int job = 1; job <= 100; ++job) co_await jobs.Send(job);
  jobs.Close();
  (co_await workers.Join()).IgnoreFailures();
  std::vector<int> all;
  co_await squares.ReceiveMany(all, 100);
  int sum = 0;
  for (const int each : all) sum += each;
  co_return sum;
}

// ---- What comes from several sides, for some time at most.

weft::Task<int> Collect(weft::Channel<int>& left, weft::Channel<int>& right, weft::Event& cancel) {
  int sum = 0;
  for (;;) {
    //! [select]
    auto got = co_await weft::Select(left.Receive(), right.Receive(), cancel.Wait(),
                                     weft::Sleep(absl::Minutes(1)));
    switch (got.index()) {
      case 0: sum += std::get<0>(got).value_or(0); break;
      case 1: sum += std::get<1>(got).value_or(0); break;
      default: co_return sum;  // cancelled, or nothing has come for too long
    }
    //! [select]
  }
}

weft::Task<int> FanIn() {
  weft::Channel<int> left(0), right(0);
  weft::Event cancel;
  std::atomic<int> sending = 2;
  weft::AwaitAll scope;
  for (weft::Channel<int>* each : {&left, &right}) {
    scope.Fork([&, each]() -> weft::Task<void> {
      for (int i = 1; i <= 10; ++i) {
        if (!co_await each->Send(i)) co_return;
      }
      if (--sending == 0) cancel.Set();
    });
  }
  const int sum = co_await Collect(left, right, cancel);
  left.Close();  // nobody receives any more
  right.Close();
  (co_await scope.Join()).IgnoreFailures();
  co_return sum;
}

weft::Task<absl::Status> Main() {
  std::vector<Order> batch(3);
  batch[0].item = "tea";
  batch[1].item = "milk";
  batch[2].item = "sugar";
  co_await Sell(std::move(batch));
  co_await Pipeline();
  std::printf("pool: %d\n", co_await Pool());
  std::printf("fan-in: %d\n", co_await FanIn());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
