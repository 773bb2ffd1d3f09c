// Two calls side by side in one scope, errors as values: absl::Status and absl::StatusOr.
#include <atomic>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
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

std::atomic<int> calls_in_progress = 0;

// Counts a call from its first line until its locals are destroyed, whichever way it ends.
struct InProgress {
  InProgress() { ++calls_in_progress; }
  ~InProgress() { --calls_in_progress; }
};

// The user service. The search for user 404 goes on until it is cancelled.
weft::Task<absl::StatusOr<User>> FetchUser(UserId id) {
  InProgress call;
  co_await weft::Sleep(id == 404 ? absl::InfiniteDuration() : absl::Milliseconds(1));
  co_return User{id == 1 ? "Ada" : "Grace"};
}

weft::Task<absl::StatusOr<Orders>> FetchOrders(UserId id) {
  InProgress call;
  co_await weft::Sleep(absl::Milliseconds(1));
  if (id == 404) co_return absl::NotFoundError(absl::StrCat("user ", id, " has no orders"));
  co_return Orders{id + 2};
}

// clang-format off
//! [load_profile]
// Errors as values: a Task of StatusOr is flattened, a non-OK status is a failed subtask.
weft::Task<absl::StatusOr<Profile>> LoadProfile(UserId id) {
  weft::ShutdownOnFailure scope;                       // opens a scope on this virtual thread
  auto user = scope.Fork(FetchUser(id));               // Subtask<User>
  auto orders = scope.Fork([id] { return FetchOrders(id); });  // the closure is kept in the child: no dangling capture
  absl::Status joined = co_await scope.Join();         // [[nodiscard]]: forgetting the outcome is a compile warning
  if (!joined.ok()) co_return joined;                  // first failure; the others were cancelled and have ended
  co_return Profile{*user, *orders};
}
//! [load_profile]
// clang-format on

weft::Task<absl::Status> Main() {
  for (UserId id : {1, 2, 404}) {
    absl::StatusOr<Profile> profile = co_await LoadProfile(id);
    if (profile.ok()) {
      std::printf("user %d: %s, %d orders\n", id, profile->user.name.c_str(), profile->orders.count);
    } else {
      std::printf("user %d: %s\n", id, profile.status().ToString().c_str());
    }
    std::printf("  calls still in progress: %d\n", calls_in_progress.load());
  }
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
