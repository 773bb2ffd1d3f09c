// A PostgreSQL server of a test's own, from Debian's packages: its data in a temporary directory, and a Unix socket as
// its only address.
#ifndef WEFT_TESTS_EXAMPLES_POSTGRES_CLUSTER_H_
#define WEFT_TESTS_EXAMPLES_POSTGRES_CLUSTER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/process.h"
#include "weft/weft.h"

namespace database {

class PostgresCluster {
 public:
  // Whether the programs are there.
  static bool IsInstalled();

  // Removes its directories. The server has ended.
  ~PostgresCluster();

  // Makes the directories and the data, once, and starts the server. Returns when it accepts connections.
  weft::Task<absl::Status> Start();
  // Ends it, and with it all connections.
  weft::Task<absl::Status> Stop();

  std::string conninfo() const;

 private:
  void BecomeAnother();
  std::vector<std::string> Command(std::string program, std::vector<std::string> arguments) const;
  weft::Task<absl::Status> MakeData();

  std::vector<std::string> as_another_;  // what begins a command, if we are root
  std::string data_;
  std::string socket_;  // its directory
  std::optional<weft::Process> server_;
};

}  // namespace database

#endif  // WEFT_TESTS_EXAMPLES_POSTGRES_CLUSTER_H_
