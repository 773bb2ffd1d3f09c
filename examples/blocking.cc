// Calls that block their OS thread, made without holding a carrier: many at once, one with a limit on its time, and one
// that is told that nobody wants its result any more.
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/blocking.h"
#include "weft/weft.h"

namespace {

struct Image {
  size_t bytes;
};

// A library that knows nothing of virtual threads.
absl::StatusOr<Image> DecodeFile(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return absl::NotFoundError("there is no " + path);
  return Image{path.size()};
}

// clang-format off
//! [blocking]
weft::Task<absl::StatusOr<size_t>> Load(std::string path) {
  absl::StatusOr<Image> image = co_await weft::Blocking([&] { return DecodeFile(path); });   // a carrier is never held
  if (!image.ok()) co_return image.status();
  co_return image->bytes;
}
//! [blocking]
// clang-format on

std::atomic<int> searches = 0;

// A function that may take long looks now and then whether it is still wanted.
void SearchUntilAsked() {
  ++searches;
  while (!weft::CancelRequested()) std::this_thread::yield();
  --searches;
}

weft::Task<absl::Status> Main() {
  // A hundred at once, on one carrier.
  std::vector<std::string> paths(100, "/proc/self/status");
  size_t bytes = 0;
  for (absl::StatusOr<size_t>& loaded : co_await weft::MapSettled(paths, 100, &Load)) bytes += loaded.value();
  std::printf("loaded %zu bytes\n", bytes);
  std::printf("%s\n", (co_await Load("/no/such/file")).status().ToString().c_str());

  // Once begun, a call is awaited to its end.
  (co_await weft::WithTimeout(absl::Milliseconds(10), weft::Blocking(&SearchUntilAsked))).IgnoreError();
  std::printf("searches that go on: %d\n", searches.load());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main(), {.parallelism = 1}); }
