// Child processes that run this program in another role, and report back on their standard output.
#ifndef WEFT_EXAMPLES_GATEWAY_PROCESS_H_
#define WEFT_EXAMPLES_GATEWAY_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "weft/process.h"
#include "weft/signal.h"
#include "weft/weft.h"

namespace gateway {

// A child process. It ends with this object, and with this program, however that ends.
class Process {
 public:
  // Starts this program again with `arguments` and --ends_with_stdin.
  static weft::Task<absl::StatusOr<Process>> Start(std::string name, std::vector<std::string> arguments);

  const std::string& name() const { return name_; }
  pid_t id() const { return child_.id(); }

  // Waits for one line of JSON, the only one. An error if the process ends without.
  weft::Task<absl::StatusOr<nlohmann::json>> ReadReport();

  void Terminate();  // SIGTERM: it drains
  void EndDrain();   // SIGINT after that. Not a second SIGTERM: two of one kind that wait together are one
  // Waits for the end. OK: exit status 0.
  weft::Task<absl::Status> AwaitEnd();

 private:
  Process(std::string name, weft::Process child) : name_(std::move(name)), child_(std::move(child)) {}

  std::string name_;
  weft::Process child_;
};

// ---- In the child.

// Writes one line on standard output.
void WriteReport(const nlohmann::json& report);

// SIGTERM and SIGINT. It stays until the process has ended: one that comes when all is done has no effect.
weft::Signals& TerminationSignals();

// From now on the end of the standard input is a SIGTERM: the input is a pipe, and its other end the parent's.
void EndWithStandardInput();

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_PROCESS_H_
