// A fixed number of calls side by side, and all their results.
#include <cstdio>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

weft::Task<int> Left(int x) {
  co_await weft::Sleep(absl::Milliseconds(1));
  co_return x - 1;
}

weft::Task<std::string> Right(int x) { co_return "right of " + std::to_string(x); }

weft::Task<absl::StatusOr<int>> Price(int item) {
  if (item < 0) co_return absl::InvalidArgumentError("no item has a negative number");
  co_return 100 * item;
}

// Ends when it is cancelled.
weft::Task<absl::Status> Advertise() {
  co_await weft::Sleep(absl::InfiniteDuration());
  co_return absl::OkStatus();
}

weft::Task<void> Both(int x) {
  // clang-format off
  //! [all]
  // Static fan-out, the fast path: each branch is a virtual thread whose control block lies in this frame.
  auto [a, b] = co_await weft::All(Left(x), Right(x));           // Task<StatusOr<..>> branches give one StatusOr<tuple>
  //! [all]
  // clang-format on
  std::printf("left: %d; right: %s\n", a, b.c_str());
}

weft::Task<absl::Status> Main() {
  co_await Both(7);

  absl::StatusOr<std::tuple<int, int>> prices = co_await weft::All(Price(2), Price(3));
  if (!prices.ok()) co_return prices.status();
  std::printf("prices: %d and %d\n", std::get<0>(*prices), std::get<1>(*prices));

  auto failed = co_await weft::All(Advertise(), Price(-1));
  std::printf("a failure ends the others: %s\n", failed.status().ToString().c_str());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
