// Two tasks side by side in one scope, as a service in a monorepo would write it. Ends with 0 if the sum is right.
#include <cstdio>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/weft.h"

namespace {

weft::Task<absl::StatusOr<int>> Price(int item) {
  if (item < 0) co_return absl::NotFoundError("no such item");
  co_return 20 + item;
}

weft::Task<absl::StatusOr<int>> Total(int left, int right) {
  weft::ShutdownOnFailure scope;
  auto a = scope.Fork(Price(left));
  auto b = scope.Fork([right] { return Price(right); });
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  co_return *a + *b;
}

weft::Task<absl::Status> Main() {
  absl::StatusOr<int> total = co_await Total(1, 1);
  if (!total.ok()) co_return total.status();
  std::printf("total: %d\n", *total);
  if (*total != 42) co_return absl::InternalError("the total is not 42");

  absl::StatusOr<int> failed = co_await Total(1, -1);
  std::printf("failed: %s\n", failed.status().ToString().c_str());
  if (failed.status().code() != absl::StatusCode::kNotFound) co_return absl::InternalError("the failure was lost");
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
