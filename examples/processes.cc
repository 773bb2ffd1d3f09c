// Other programs: a pipeline of three, whose bytes flow through pipes that nobody reads here; one that is stopped when
// its time is up; and one whose end is asked for by a signal.
#include <signal.h>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/process.h"
#include "weft/signal.h"
#include "weft/weft.h"

namespace {

// clang-format off
// What `sh -c "printf ... | sort | uniq -c"` does, without a shell.
weft::Task<absl::StatusOr<std::string>> CountWords(std::string words) {
  auto sort = co_await weft::Process::Start(
      {"sort"}, {.standard_input = weft::Process::kPipe, .standard_output = weft::Process::kPipe});
  if (!sort.ok()) co_return sort.status();
  auto count = co_await weft::Process::Start(
      {"uniq", "-c"}, {.standard_input = weft::Process::Redirect::To(sort->standard_output().native_handle()),
                       .standard_output = weft::Process::kPipe});
  if (!count.ok()) co_return count.status();
  sort->standard_output().Close();                       // it is the child's now

  weft::ShutdownOnFailure scope;
  scope.Fork([&]() -> weft::Task<absl::Status> {
    absl::Status written = co_await sort->standard_input().Write(words);
    sort->standard_input().Close();                      // so that `sort` sees the end
    co_return written;
  });
  std::string counted;
  char buffer[256];
  while (true) {
    absl::StatusOr<size_t> got = co_await count->standard_output().Read(buffer);
    if (!got.ok()) co_return got.status();
    if (*got == 0) break;
    counted.append(buffer, *got);
  }
  if (absl::Status fed = co_await scope.Join(); !fed.ok()) co_return fed;
  for (weft::Process* each : {&*sort, &*count}) {        // left before, by a failure too, both are killed
    absl::StatusOr<weft::Process::Exit> exit = co_await each->Wait();
    if (!exit.ok()) co_return exit.status();
    if (!exit->success()) co_return absl::UnknownError("a child has failed");
  }
  co_return counted;
}

weft::Task<void> RunForAWhile() {
  std::optional<absl::StatusOr<weft::Process::Output>> output =
      co_await weft::MoveOnAfter(absl::Milliseconds(20), weft::Process::Run({"sleep", "1000"}));
  std::printf("sleep: %s\n", output.has_value() ? "ended" : "was killed with its scope");
}

weft::Task<absl::Status> ServeUntilAskedToStop() {
  weft::AwaitAll scope;
  scope.Fork([]() -> weft::Task<void> {
    //! [signals]
    weft::Signals signals({SIGINT, SIGTERM});
    ::raise(SIGTERM);                                    // elsewhere: kubectl, systemd, or ^C
    const int signal = co_await signals.Next();
    //! [signals]
    std::printf("signal %s: the service ends\n", signal == SIGTERM ? "TERM" : "INT");
  });
  (co_await scope.Join()).IgnoreFailures();
  co_return absl::OkStatus();
}
// clang-format on

weft::Task<absl::Status> Main() {
  absl::StatusOr<std::string> counted = co_await CountWords("weft\nloom\nweft\nshed\nweft\n");
  if (!counted.ok()) co_return counted.status();
  std::printf("%s", counted->c_str());
  co_await RunForAWhile();
  co_return co_await ServeUntilAskedToStop();
}

}  // namespace

int main() {
  const absl::Status status = weft::Run(Main());
  if (!status.ok()) std::printf("%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
