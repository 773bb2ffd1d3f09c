// Child processes that run this program in another role, and report back over a pipe.
#ifndef WEFT_EXAMPLES_GATEWAY_PROCESS_H_
#define WEFT_EXAMPLES_GATEWAY_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace gateway {

// A child process. Movable; the destructor kills and reaps what still runs.
class Process {
 public:
  // Starts this program again with `arguments` and --report_fd=N, N being the pipe it reports on. It gets SIGTERM if
  // this process dies. The calling process has one thread.
  static absl::StatusOr<Process> Start(std::string name, std::vector<std::string> arguments);

  Process(Process&& other) noexcept
      : name_(std::move(other.name_)),
        pid_(std::exchange(other.pid_, -1)),
        report_fd_(std::exchange(other.report_fd_, -1)) {}
  Process& operator=(Process&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(pid_, other.pid_);
    std::swap(report_fd_, other.report_fd_);
    return *this;
  }
  ~Process();

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool has_been_reaped() const { return pid_ < 0; }

  // Waits for one line of JSON. An error if the process ends without.
  absl::StatusOr<nlohmann::json> ReadReport();

  void Terminate();  // SIGTERM: it drains
  void EndDrain();   // SIGINT after that. Not a second SIGTERM: two of one kind that wait together are one
  // Waits for the end. OK: exit status 0.
  absl::Status AwaitEnd();
  // AwaitEnd() if it has ended already; true if it had.
  bool EndedAlready(absl::Status* how);

 private:
  Process(std::string name, pid_t pid, int report_fd) : name_(std::move(name)), pid_(pid), report_fd_(report_fd) {}
  absl::Status Judge(int status);

  std::string name_;
  pid_t pid_ = -1;  // -1: has been reaped
  int report_fd_ = -1;
};

// In the child: writes one line, if there is a pipe to write to; otherwise on standard output.
void WriteReport(int report_fd, const nlohmann::json& report);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_PROCESS_H_
