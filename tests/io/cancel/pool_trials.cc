// What the pool does: files, and names.
#include <netdb.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "weft/errno.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/path.h"
#include "weft/fs/temporary.h"
#include "weft/net/resolver.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using fs::File;
using internal::Syscalls;

constexpr size_t kWhole = 8;
constexpr size_t kPart = 3;

int Failing(int error) {
  errno = error;
  return -1;
}

class FileTrial : public PoolTrial {
 public:
  using PoolTrial::PoolTrial;

  Task<void> SetUp() override {
    directory.emplace((co_await fs::TemporaryDirectory::Create()).value());
    path = directory->path() + "/file";
    fault = {.error = fails() ? ENOSPC : 0, .cut = is_short()};
  }

 protected:
  // A file of so many bytes.
  Task<void> Make(size_t bytes) {
    EXPECT_EQ(co_await fs::WriteFile(path, BytesFrom(0, bytes)), absl::OkStatus());
    file.emplace((co_await File::Open(path, {.write = true})).value());
  }
  Task<void> Close() {
    if (file.has_value()) EXPECT_EQ(co_await file->Close(), absl::OkStatus());
    EXPECT_EQ(co_await std::move(*directory).Remove(), absl::OkStatus());
  }
  void ExpectOutcome(const absl::Status& status) {
    EXPECT_EQ(ErrnoOf(status), fails() && returned() ? ENOSPC : 0) << status;
  }

  std::optional<fs::TemporaryDirectory> directory;
  std::string path;
  std::optional<File> file;
  absl::Status status;
};

// "Short" makes the file.
class OpenTrial : public FileTrial {
 public:
  using FileTrial::FileTrial;

  void Install(Syscalls& table) override {
    table.openat = [](int at, const char* name, int flags, mode_t mode) {
      return Choose([=](Fault fault) {
        return fault.error != 0 ? Failing(fault.error) : Real().openat(at, name, flags, mode);
      });
    };
  }
  Task<void> SetUp() override {
    co_await FileTrial::SetUp();
    if (!is_short()) EXPECT_EQ(co_await fs::WriteFile(path, "text"), absl::OkStatus());
  }
  Task<void> Operate() override {
    absl::StatusOr<File> got = co_await File::Open(path, {.write = true, .create = is_short()});
    NoteReturn();
    status = got.status();
    if (got.ok()) file.emplace(*std::move(got));
  }
  Task<void> Check() override {
    ExpectOutcome(status);
    if (is_short()) EXPECT_EQ((co_await fs::Exists(path)).value(), called());
    co_await Close();
  }
};

class FileReadTrial : public FileTrial {
 public:
  using FileTrial::FileTrial;

  void Install(Syscalls& table) override {
    table.pread = [](int fd, void* buffer, size_t size, off_t offset) {
      return Choose([=](Fault fault) -> ssize_t {
        return fault.error != 0 ? Failing(fault.error) : Real().pread(fd, buffer, size, offset);
      });
    };
  }
  Task<void> SetUp() override {
    co_await FileTrial::SetUp();
    co_await Make(is_short() ? kPart : kWhole);
  }
  Task<void> Operate() override {
    char buffer[kWhole];
    const absl::StatusOr<size_t> got = co_await file->Read(buffer);
    NoteReturn();
    status = got.status();
    if (got.ok()) bytes.assign(buffer, *got);
  }
  Task<void> Check() override {
    ExpectOutcome(status);
    EXPECT_EQ(file->position(), bytes.size()) << "a read that nobody got has moved the position";
    char buffer[kWhole];
    const size_t rest = (co_await file->Read(buffer)).value();
    EXPECT_EQ(bytes + std::string(buffer, rest), BytesFrom(0, is_short() ? kPart : kWhole));
    co_await Close();
  }

 private:
  std::string bytes;
};

// "Short": the kernel takes a part, and then the rest.
class FileWriteTrial : public FileTrial {
 public:
  using FileTrial::FileTrial;

  void Install(Syscalls& table) override {
    table.pwritev2 = [](int fd, const iovec* parts, int count, off_t offset, int flags) {
      return Choose([=](Fault fault) -> ssize_t {
        if (fault.error != 0) return Failing(fault.error);
        if (!fault.cut) return Real().pwritev2(fd, parts, count, offset, flags);
        const iovec part = {parts->iov_base, kPart};
        return Real().pwritev2(fd, &part, 1, offset, flags);
      });
    };
  }
  Task<void> SetUp() override {
    co_await FileTrial::SetUp();
    co_await Make(0);
  }
  Task<void> Operate() override {
    status = co_await file->Write(data);
    NoteReturn();
  }
  Task<void> Check() override {
    ExpectOutcome(status);
    const std::string written = (co_await fs::ReadFile(path)).value();
    EXPECT_EQ(written, data.substr(0, written.size()));
    EXPECT_EQ(file->position(), written.size());
    if (returned() && !fails()) EXPECT_EQ(written, data);
    if (!called() || fails()) EXPECT_EQ(written, "");
    EXPECT_EQ(co_await file->Write(data.substr(written.size())), absl::OkStatus());
    EXPECT_EQ((co_await fs::ReadFile(path)).value(), data);
    co_await Close();
  }

 private:
  const std::string data = BytesFrom(0, kWhole);
};

// "Short": a signal interrupts it.
class SyncTrial : public FileTrial {
 public:
  using FileTrial::FileTrial;

  void Install(Syscalls& table) override {
    table.fsync = [](int fd) {
      return Choose([=](Fault fault) { return fault.error != 0 ? Failing(fault.error) : Real().fsync(fd); });
    };
  }
  Task<void> SetUp() override {
    co_await FileTrial::SetUp();
    co_await Make(kWhole);
    if (is_short()) fault = {.error = EINTR};
  }
  Task<void> Operate() override {
    status = co_await file->Sync();
    NoteReturn();
  }
  Task<void> Check() override {
    ExpectOutcome(status);
    EXPECT_EQ(co_await file->Sync(), absl::OkStatus());
    co_await Close();
  }
};

// "Short": the host is known, and has no address.
class ResolveTrial : public PoolTrial {
 public:
  using PoolTrial::PoolTrial;

  void Install(Syscalls& table) override {
    table.getaddrinfo = [](const char*, const char* service, const addrinfo* hints, addrinfo** found) {
      if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;  // it is a name
      return Choose([=](Fault fault) {
        return fault.error != 0 ? fault.error : Real().getaddrinfo("127.0.0.1", service, hints, found);
      });
    };
  }
  bool AwaitsTheCall() const override { return false; }
  Task<void> SetUp() override {
    fault = {.error = fails() ? EAI_AGAIN : is_short() ? EAI_NODATA : 0};
    co_return;
  }
  Task<void> Operate() override {
    const auto found = co_await resolver.Resolve("host.internal", 80);
    NoteReturn();
    status = found.status();
    if (found.ok()) EXPECT_EQ(found->at(0).ToString(), "127.0.0.1:80");
  }
  Task<void> Check() override {
    const absl::StatusCode expected = !returned() || succeeds() ? absl::StatusCode::kOk
                                      : fails()                 ? absl::StatusCode::kUnavailable
                                                                : absl::StatusCode::kNotFound;
    EXPECT_EQ(status.code(), expected) << status;
    EXPECT_TRUE((co_await resolver.Resolve("host.internal", 80)).ok());
  }

 private:
  net::Resolver resolver{{.max_concurrent = 1}};
  absl::Status status;
};

}  // namespace

void AddPooled(std::vector<Row>& rows) {
  rows.push_back(RowOf<OpenTrial>("File::Open"));
  rows.push_back(RowOf<FileReadTrial>("File::Read"));
  rows.push_back(RowOf<FileWriteTrial>("File::Write"));
  rows.push_back(RowOf<SyncTrial>("File::Sync"));
  rows.push_back(RowOf<ResolveTrial>("Resolver::Resolve"));
}

}  // namespace weft::testing
