#include "examples/gateway/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "examples/gateway/json.h"

namespace gateway {
namespace {

constexpr int kExecFailed = 127;

// Between fork and exec.
[[noreturn]] void Become(pid_t parent, int report_fd, std::vector<char*>& argv) {
  setpgid(0, 0);  // Ctrl-C is for the parent, who ends its children in order
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(kExecFailed);  // it died before that
  fcntl(report_fd, F_SETFD, 0);                 // stays open
  execv("/proc/self/exe", argv.data());
  _exit(kExecFailed);
}

}  // namespace

absl::StatusOr<Process> Process::Start(std::string name, std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  arguments.insert(arguments.begin(), "gateway");
  arguments.push_back(absl::StrCat("--report_fd=", ends[1]));
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) Become(parent, ends[1], argv);
  close(ends[1]);
  if (child > 0) return Process(std::move(name), child, ends[0]);
  close(ends[0]);
  return absl::ErrnoToStatus(errno, "fork");
}

Process::~Process() {
  if (report_fd_ >= 0) close(report_fd_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  AwaitEnd().IgnoreError();
}

absl::StatusOr<nlohmann::json> Process::ReadReport() {
  std::string line;
  for (char byte = 0; byte != '\n';) {
    const ssize_t got = read(report_fd_, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("the pipe from the ", name_, " process"));
    if (got == 0) {
      absl::Status ended = AwaitEnd();
      if (ended.ok()) ended = absl::InternalError(absl::StrCat("the ", name_, " process ended without a report"));
      return ended;
    }
    line += byte;
  }
  absl::StatusOr<nlohmann::json> report = ParseJson(line);
  if (!report.ok()) return absl::DataLossError(absl::StrCat("the ", name_, " process reported: ", line));
  return report;
}

void Process::Terminate() {
  if (pid_ > 0) kill(pid_, SIGTERM);
}

void Process::EndDrain() {
  if (pid_ > 0) kill(pid_, SIGINT);
}

absl::Status Process::AwaitEnd() {
  if (pid_ < 0) return absl::OkStatus();
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return absl::ErrnoToStatus(errno, absl::StrCat("waiting for the ", name_, " process"));
  }
  return Judge(status);
}

bool Process::EndedAlready(absl::Status* how) {
  int status = 0;
  if (pid_ < 0 || waitpid(pid_, &status, WNOHANG) != pid_) return false;
  *how = Judge(status);
  return true;
}

absl::Status Process::Judge(int status) {
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    return absl::InternalError(absl::StrCat("the ", name_, " process was ended by signal ", WTERMSIG(status), " (",
                                            strsignal(WTERMSIG(status)), ")"));
  }
  if (WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("the ", name_, " process ended with exit status ", WEXITSTATUS(status)));
}

void WriteReport(int report_fd, const nlohmann::json& report) {
  const std::string line = DumpJson(report) + "\n";
  for (size_t written = 0; written < line.size();) {
    const ssize_t wrote =
        write(report_fd < 0 ? STDOUT_FILENO : report_fd, line.data() + written, line.size() - written);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return;  // nobody listens any more
    written += static_cast<size_t>(wrote);
  }
}

}  // namespace gateway
