// Two calls side by side in one scope, errors as exceptions.
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

using UserId = int;

struct User {
  std::string name;
};
struct Orders {
  int count = 0;
};
struct Profile {
  User user;
  Orders orders;
};

struct NoOrders : std::runtime_error {
  explicit NoOrders(UserId id) : std::runtime_error("user " + std::to_string(id) + " has no orders") {}
};

std::atomic<int> calls_in_progress = 0;

// Counts a call from its first line until its locals are destroyed, whichever way it ends.
struct InProgress {
  InProgress() { ++calls_in_progress; }
  ~InProgress() { --calls_in_progress; }
};

// The user service. The search for user 404 goes on until it is cancelled.
weft::Task<User> FetchUserOrThrow(UserId id) {
  InProgress call;
  co_await weft::Sleep(id == 404 ? absl::InfiniteDuration() : absl::Milliseconds(1));
  co_return User{id == 1 ? "Ada" : "Grace"};
}

weft::Task<Orders> FetchOrdersOrThrow(UserId id) {
  InProgress call;
  co_await weft::Sleep(absl::Milliseconds(1));
  if (id == 404) throw NoOrders(id);
  co_return Orders{id + 2};
}

// clang-format off
//! [load_profile_throw]
// Errors as exceptions: the same scope.
weft::Task<Profile> LoadProfileOrThrow(UserId id) {
  weft::ShutdownOnFailure scope;
  auto user = scope.Fork(FetchUserOrThrow(id));
  auto orders = scope.Fork(FetchOrdersOrThrow(id));
  (co_await scope.Join()).ThrowIfFailed();             // rethrows the child's own exception
  co_return Profile{user.get(), orders.get()};
}
//! [load_profile_throw]
// clang-format on

weft::Task<absl::Status> Main() {
  for (UserId id : {1, 2, 404}) {
    try {
      Profile profile = co_await LoadProfileOrThrow(id);
      std::printf("user %d: %s, %d orders\n", id, profile.user.name.c_str(), profile.orders.count);
    } catch (const NoOrders& failure) {
      std::printf("user %d: NoOrders: %s\n", id, failure.what());
    }
    std::printf("  calls still in progress: %d\n", calls_in_progress.load());
  }
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
