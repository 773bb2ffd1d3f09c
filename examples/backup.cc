// A clean-up that always runs, and waits that may be given up.
#include <cstdio>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

// A store with slow operations.
class Store {
 public:
  weft::Task<absl::Status> Write(std::string name, absl::Duration duration) {
    names_.insert(name);
    co_await weft::Sleep(duration);
    co_return absl::OkStatus();
  }
  weft::Task<void> Remove(std::string name) {
    co_await weft::Sleep(absl::Milliseconds(1));
    names_.erase(name);
    std::printf("  removed %s\n", name.c_str());
  }
  size_t size() const { return names_.size(); }

 private:
  std::set<std::string> names_;  // used by one virtual thread at a time
};

//! [finally]
// The clean-up can wait, unlike a destructor. It runs however the task ends, also when it is cancelled.
weft::Task<absl::Status> Copy(Store& store, absl::Duration duration) {
  co_return co_await weft::Finally(store.Write("copy.tmp", duration),
                                   [&]() -> weft::Task<void> { co_await store.Remove("copy.tmp"); });
}
//! [finally]

weft::Task<std::string> Statistics(absl::Duration duration) {
  co_await weft::Sleep(duration);
  co_return "all is well";
}

weft::Task<absl::Status> Main() {
  Store store;
  std::printf("a short copy: %s\n", (co_await Copy(store, absl::Milliseconds(1))).ToString().c_str());
  const absl::Status late = co_await weft::WithTimeout(absl::Milliseconds(5), Copy(store, absl::Hours(1)));
  std::printf("a long one: %s\n", absl::StatusCodeToString(late.code()).c_str());
  std::printf("left behind: %zu\n", store.size());

  // Nice to have: give up after a while.
  std::optional<std::string> statistics =
      co_await weft::MoveOnAfter(absl::Minutes(1), Statistics(absl::Milliseconds(1)));
  std::printf("statistics: %s\n", statistics.value_or("not this time").c_str());
  statistics = co_await weft::MoveOnAfter(absl::Milliseconds(5), Statistics(absl::Hours(1)));
  std::printf("statistics: %s\n", statistics.value_or("not this time").c_str());

  weft::Event stop;
  weft::ShutdownOnFailure scope("backup");
  scope.Fork([&]() -> weft::Task<void> { co_await stop.Wait(); });
  //! [join_for]
  // A join that gives up after a while. The children go on, and can be joined again.
  std::optional<weft::Outcome> joined = co_await scope.JoinFor(absl::Milliseconds(5));
  if (!joined.has_value()) {
    std::printf("still at work\n");
    stop.Set();
    joined = co_await scope.Join();
  }
  //! [join_for]
  std::printf("joined: %s\n", joined->status().ToString().c_str());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
