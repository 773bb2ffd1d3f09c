#include "examples/gateway/process.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "examples/gateway/json.h"
#include "weft/io/buffered_reader.h"
#include "weft/io/stream.h"

namespace gateway {

weft::Task<absl::StatusOr<Process>> Process::Start(std::string name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/proc/self/exe");
  arguments.push_back("--ends_with_stdin");
  absl::StatusOr<weft::Process> child = co_await weft::Process::Start(
      std::move(arguments), {.standard_input = weft::Process::kPipe,
                             .standard_output = weft::Process::kPipe,
                             .process_group = true});  // Ctrl-C is for the parent, who ends its children in order
  if (!child.ok()) co_return child.status();
  co_return Process(std::move(name), *std::move(child));
}

weft::Task<absl::StatusOr<nlohmann::json>> Process::ReadReport() {
  weft::io::BufferedReader lines(child_.standard_output());
  const absl::StatusOr<std::string_view> line = co_await lines.ReadLine({.max_bytes = 1 << 20});
  if (!line.ok() && !weft::io::IsEndOfStream(line.status())) co_return line.status();
  if (!line.ok()) {
    absl::Status ended = co_await AwaitEnd();
    if (ended.ok()) ended = absl::InternalError(absl::StrCat("the ", name_, " process ended without a report"));
    co_return ended;
  }
  absl::StatusOr<nlohmann::json> report = ParseJson(std::string(*line));
  if (!report.ok()) {
    co_return absl::DataLossError(absl::StrCat("the ", name_, " process reported: ", std::string(*line)));
  }
  co_return report;
}

void Process::Terminate() { child_.Kill(SIGTERM).IgnoreError(); }

void Process::EndDrain() { child_.Kill(SIGINT).IgnoreError(); }

weft::Task<absl::Status> Process::AwaitEnd() {
  const absl::StatusOr<weft::Process::Exit> exit = co_await child_.Wait();
  if (!exit.ok()) co_return exit.status();
  if (exit->success()) co_return absl::OkStatus();
  if (exit->signal == 0) {
    co_return absl::InternalError(absl::StrCat("the ", name_, " process ended with exit status ", exit->code));
  }
  co_return absl::InternalError(absl::StrCat("the ", name_, " process was ended by signal ", exit->signal, " (",
                                             strsignal(exit->signal), ")"));
}

void WriteReport(const nlohmann::json& report) {
  const std::string line = DumpJson(report) + "\n";
  for (size_t written = 0; written < line.size();) {
    const ssize_t wrote = write(STDOUT_FILENO, line.data() + written, line.size() - written);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return;  // nobody listens any more
    written += static_cast<size_t>(wrote);
  }
}

weft::Signals& TerminationSignals() {
  static auto* const signals = new weft::Signals({SIGTERM, SIGINT});
  return *signals;
}

void EndWithStandardInput() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the others
  std::thread([] {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    kill(getpid(), SIGTERM);
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace gateway
