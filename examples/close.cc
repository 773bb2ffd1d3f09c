// Leaving a scope early: the children end first, and no carrier is held meanwhile.
#include <atomic>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

struct Request {
  std::string item;
};

std::atomic<int> calls_in_progress = 0;

// Counts a call from its first line until its locals are destroyed, whichever way it ends.
struct InProgress {
  InProgress() { ++calls_in_progress; }
  ~InProgress() { --calls_in_progress; }
};

weft::Task<absl::StatusOr<int>> Stock(Request request) {
  InProgress call;
  co_await weft::Sleep(absl::Milliseconds(20));
  co_return static_cast<int>(request.item.size());
}

absl::Status Check(const Request& request) {
  if (request.item.empty()) return absl::InvalidArgumentError("the request names no item");
  return absl::OkStatus();
}

// Asks for the stock while it still checks the request.
weft::Task<absl::Status> Order(Request request) {
  weft::ShutdownOnFailure scope;
  auto stock = scope.Fork(Stock(request));
  // clang-format off
  //! [close]
  // Early exit in Status style: end the children first, without holding the carrier.
  if (absl::Status s = Check(request); !s.ok()) co_return co_await scope.Close(s);
  //! [close]
  // clang-format on
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  std::printf("ordered %s, %d in stock\n", request.item.c_str(), *stock);
  co_return absl::OkStatus();
}

weft::Task<absl::Status> Main() {
  for (const char* item : {"thread", ""}) {
    absl::Status ordered = co_await Order({item});
    std::printf("Order(\"%s\"): %s\n", item, ordered.ToString().c_str());
    std::printf("  calls still in progress: %d\n", calls_in_progress.load());
  }
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
