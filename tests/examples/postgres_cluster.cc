#include "tests/examples/postgres_cluster.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/io/buffered_reader.h"

namespace database {
namespace {

constexpr char kPrograms[] = "/usr/lib/postgresql/15/bin/";

}  // namespace

bool PostgresCluster::IsInstalled() {
  return std::filesystem::exists(absl::StrCat(kPrograms, "initdb")) &&
         std::filesystem::exists(absl::StrCat(kPrograms, "postgres"));
}

PostgresCluster::~PostgresCluster() {
  std::error_code ignored;
  if (!socket_.empty()) std::filesystem::remove_all(socket_, ignored);
  if (!data_.empty()) std::filesystem::remove_all(data_, ignored);
}

// Both programs refuse to run as root. Where there is another user, it gets the directory, and they run as that user.
// In a sandbox whose user namespace has only one, they run in a further one, where root's number is another; the files
// are still ours then.
void PostgresCluster::BecomeAnother() {
  const passwd* const user = getpwnam("postgres");
  if (user != nullptr && chown(socket_.c_str(), user->pw_uid, user->pw_gid) == 0) {
    as_another_ = {"/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
    data_ = socket_ + "/data";  // nobody else may get through the directories above ours
  } else {
    as_another_ = {"/usr/bin/unshare", "--map-user=postgres", "--map-group=postgres"};
  }
}

std::vector<std::string> PostgresCluster::Command(std::string program, std::vector<std::string> arguments) const {
  std::vector<std::string> command = as_another_;
  command.push_back(kPrograms + std::move(program));
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

weft::Task<absl::Status> PostgresCluster::MakeData() {
  char directory[] = "/tmp/weft_pg_XXXXXX";  // short: the path of a socket has 107 bytes at most
  if (mkdtemp(directory) == nullptr) co_return absl::ErrnoToStatus(errno, "mkdtemp");
  socket_ = directory;
  data_ = testing::TempDir() + "/postgres";
  if (geteuid() == 0) BecomeAnother();
  std::error_code ignored;
  std::filesystem::remove_all(data_, ignored);  // of an earlier run, outside of Bazel
  absl::StatusOr<weft::Process::Output> made = co_await weft::Process::Run(
      Command("initdb", {"-D", data_, "-U", "weft", "-A", "trust", "--no-sync", "--locale=C", "-E",
                         "UTF8", "--no-instructions"}));
  if (!made.ok()) co_return made.status();
  if (!made->exit.success()) co_return absl::InternalError(absl::StrCat("initdb: ", made->standard_error));
  co_return absl::OkStatus();
}

weft::Task<absl::Status> PostgresCluster::Start() {
  if (socket_.empty()) {
    if (absl::Status made = co_await MakeData(); !made.ok()) co_return made;
  }
  // The messages that come after the start are few, and fit into the pipe.
  absl::StatusOr<weft::Process> started = co_await weft::Process::Start(
      Command("postgres", {"-D", data_, "-k", socket_, "-c", "listen_addresses=", "-c", "fsync=off",
                           "-c", "max_connections=20", "-c", "log_min_messages=log"}),
      {.standard_output = weft::Process::kNull, .standard_error = weft::Process::kPipe});
  if (!started.ok()) co_return started.status();
  server_.emplace(*std::move(started));
  weft::io::BufferedReader log(server_->standard_error());
  std::string all;
  while (true) {
    absl::StatusOr<std::string_view> line = co_await log.ReadLine();
    if (!line.ok()) co_return absl::InternalError(absl::StrCat("the server has not started: ", all));
    if (line->find("ready to accept connections") != std::string_view::npos) co_return absl::OkStatus();
    absl::StrAppend(&all, std::string(*line), "\n");
  }
}

weft::Task<absl::Status> PostgresCluster::Stop() {
  if (!server_.has_value()) co_return absl::OkStatus();
  if (absl::Status asked = server_->Kill(SIGINT); !asked.ok()) co_return asked;  // "fast": it ends its sessions
  absl::StatusOr<weft::Process::Exit> exit = co_await server_->Wait();
  server_.reset();
  co_return exit.status();
}

std::string PostgresCluster::conninfo() const {
  return absl::StrCat("host=", socket_, " user=weft dbname=postgres");
}

}  // namespace database
