// Pipes, descriptors of another library, signals and processes.
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/os/syscalls.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "tests/support/read_to_end.h"
#include "weft/cancellation.h"
#include "weft/errno.h"
#include "weft/io/buffer.h"
#include "weft/io/closed.h"
#include "weft/io/pipe.h"
#include "weft/io/readiness.h"
#include "weft/net/unix_stream.h"
#include "weft/process.h"
#include "weft/signal.h"
#include "weft/task.h"

namespace weft::testing {
namespace {

using internal::Sys;
using net::UnixStream;

constexpr size_t kWhole = 8;
constexpr size_t kPart = 3;
constexpr size_t kSmall = 1000;
constexpr size_t kLarge = 1 << 20;

// ---- Pipes.

class PipeTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    io::PipeEnds ends = io::MakePipe().value();
    reader.emplace(std::move(ends.reader));
    writer.emplace(std::move(ends.writer));
    co_return;
  }

 protected:
  std::optional<io::PipeReader> reader;
  std::optional<io::PipeWriter> writer;
};

// The error is that this side closes: a pipe has no other end than that of its bytes.
class PipeReadTrial : public PipeTrial {
 public:
  using PipeTrial::PipeTrial;

  Task<void> Operate() override {
    char buffer[kWhole];
    const absl::StatusOr<size_t> got = co_await reader->Read(buffer);
    NoteReturn();
    status = got.status();
    if (got.ok()) bytes.assign(buffer, *got);
  }
  void Complete() override {
    if (fails()) return reader->Close();
    const std::string sent = BytesFrom(0, Sent());
    EXPECT_EQ(Sys().write(writer->native_handle(), sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
  }
  Task<void> Check() override {
    if (fails()) {
      char byte;
      if (!returned()) status = (co_await reader->Read(MutableBuffer(&byte, 1))).status();
      EXPECT_TRUE(io::IsClosed(status)) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(co_await writer->Write("behind"), absl::OkStatus());
    writer->Close();
    EXPECT_EQ(bytes + co_await ReadToEnd(*reader), BytesFrom(0, Sent()) + "behind");
  }

 private:
  size_t Sent() const { return is_short() ? kPart : kWhole; }

  absl::Status status;
  std::string bytes;
};

class PipeWriteTrial : public PipeTrial {
 public:
  using PipeTrial::PipeTrial;

  Task<void> SetUp() override {
    co_await PipeTrial::SetUp();
    for (size_t chunk = 4096; chunk > 0;) {
      const std::string bytes = BytesFrom(filled, chunk);
      const ssize_t put = Sys().write(writer->native_handle(), bytes.data(), bytes.size());
      put > 0 ? void(filled += static_cast<size_t>(put)) : void(chunk /= 2);
    }
    data = BytesFrom(filled, is_short() ? kLarge : kSmall);
  }
  Task<void> Operate() override {
    status = co_await writer->Write(data);
    NoteReturn();
  }
  bool EndsInOneTurn() const override { return !is_short(); }  // it goes on with the rest
  void Complete() override {
    if (fails()) return reader.reset();
    std::string taken(filled, '\0');
    for (size_t at = 0; at < filled;) {
      const ssize_t got = Sys().read(reader->native_handle(), taken.data() + at, filled - at);
      EXPECT_GT(got, 0);
      if (got <= 0) return;
      at += static_cast<size_t>(got);
    }
    EXPECT_TRUE(taken == BytesFrom(0, filled));
  }
  Task<void> Check() override {
    if (fails()) {
      if (!returned()) status = co_await writer->Write("x");
      EXPECT_EQ(ErrnoOf(status), EPIPE) << status;
      co_return;
    }
    EXPECT_TRUE(status.ok()) << status;
    writer->Close();
    const std::string written = co_await ReadToEnd(*reader);
    EXPECT_TRUE(written == BytesFrom(filled, written.size())) << "bytes are lost, doubled or out of order";
    EXPECT_LE(written.size(), data.size());
    if (returned()) EXPECT_EQ(written.size(), data.size());
  }

 private:
  size_t filled = 0;
  std::string data;
  absl::Status status;
};

// ---- Readiness.

// Of a descriptor that Weft does not wait for itself.
class ReadinessTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    auto [first, second] = UnixStream::Pair().value();
    mine.emplace(std::move(first));
    peer.emplace(std::move(second));
    co_return;
  }

 protected:
  std::optional<UnixStream> mine, peer;
  absl::Status status;
};

// Also an end, and an error, is something to read.
class WaitReadableTrial : public ReadinessTrial {
 public:
  using ReadinessTrial::ReadinessTrial;

  Task<void> SetUp() override {
    co_await ReadinessTrial::SetUp();
    if (fails()) SendNow(mine->native_handle(), "unread");
  }
  Task<void> Operate() override {
    status = co_await io::WaitReadable(mine->native_handle());
    NoteReturn();
  }
  void Complete() override {
    if (fails()) return peer.reset();
    if (succeeds()) return SendNow(peer->native_handle(), "byte");
    EXPECT_EQ(peer->ShutdownWrite(), absl::OkStatus());
  }
  Task<void> Check() override {
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(co_await io::WaitReadable(mine->native_handle()), absl::OkStatus());
    char buffer[kWhole];
    const absl::StatusOr<size_t> got = co_await mine->Read(buffer);
    EXPECT_EQ(ErrnoOf(got.status()), fails() ? ECONNRESET : 0) << got.status();
    if (got.ok()) EXPECT_EQ(*got, succeeds() ? 4u : 0u);
  }
};

// "Short" is room for one byte, which Linux does not count.
class WaitWritableTrial : public ReadinessTrial {
 public:
  using ReadinessTrial::ReadinessTrial;

  Task<void> SetUp() override {
    co_await ReadinessTrial::SetUp();
    filled = co_await Fill(mine->native_handle(), peer->native_handle());
  }
  bool EndsInOneTurn() const override { return !is_short(); }
  Task<void> Operate() override {
    status = co_await io::WaitWritable(mine->native_handle());
    NoteReturn();
  }
  void Complete() override {
    if (fails()) return peer.reset();
    taken = Take(peer->native_handle(), is_short() ? 1 : filled);
  }
  Task<void> Check() override {
    EXPECT_TRUE(status.ok()) << status;
    if (is_short()) taken += Take(peer->native_handle(), filled - 1);
    EXPECT_EQ(co_await io::WaitWritable(mine->native_handle()), absl::OkStatus());
    if (fails()) {
      EXPECT_FALSE((co_await mine->Write("x")).ok());
      co_return;
    }
    EXPECT_TRUE(taken == BytesFrom(0, filled));
    EXPECT_EQ(co_await mine->Write("x"), absl::OkStatus());
  }

 private:
  size_t filled = 0;
  std::string taken;
};

// ---- Signals.

// "Short" is three signals that are one. An error there is none: another signal comes, and the wait goes on.
class SignalTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    others.emplace(Signals({SIGUSR2}));
    signals.emplace(Signals({SIGUSR1}));
    co_return;
  }
  bool EndsInOneTurn() const override { return !fails(); }
  Task<void> Operate() override {
    got = co_await signals->Next();
    NoteReturn();
  }
  void Complete() override {
    for (int i = 0; i < (is_short() ? 3 : 1); ++i) ::raise(fails() ? SIGUSR2 : SIGUSR1);
  }
  Task<void> Check() override {
    if (fails()) {
      EXPECT_FALSE(returned());
      EXPECT_EQ(co_await others->Next(), SIGUSR2);
      ::raise(SIGUSR1);
    }
    if (!returned()) got = co_await signals->Next();
    EXPECT_EQ(got, SIGUSR1);
    EXPECT_FALSE((co_await MoveOnAfter(absl::ZeroDuration(), signals->Next())).has_value());
  }

 private:
  std::optional<Signals> signals, others;
  int got = 0;
};

// ---- Processes.

// "Short" is an exit code, an error is an end by a signal.
class ProcessWaitTrial : public Trial {
 public:
  using Trial::Trial;

  Task<void> SetUp() override {
    child.emplace((co_await Process::Start({"sh", "-c", is_short() ? "read line; exit 3" : "read line; exit 0"},
                                           {.standard_input = Process::kPipe}))
                      .value());
  }
  Task<void> Operate() override {
    Note(co_await child->Wait());
    NoteReturn();
  }
  void Complete() override {
    if (fails()) EXPECT_EQ(child->Kill(), absl::OkStatus());
    if (!fails()) child->standard_input().Close();
    siginfo_t info = {};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child->id()), &info, WEXITED | WNOWAIT), 0);
  }
  Task<void> Check() override {
    EXPECT_TRUE(status.ok()) << status;
    if (returned()) EXPECT_EQ(exit, Expected());
    Note(co_await child->Wait());
    EXPECT_EQ(exit, Expected()) << status;
    EXPECT_EQ(::waitpid(child->id(), nullptr, WNOHANG), -1) << "it was not reaped";
  }

 private:
  Process::Exit Expected() const { return {.code = is_short() ? 3 : 0, .signal = fails() ? SIGKILL : 0}; }
  void Note(const absl::StatusOr<Process::Exit>& waited) {
    status = waited.status();
    if (waited.ok()) exit = *waited;
  }

  std::optional<Process> child;
  absl::Status status;
  Process::Exit exit;
};

Row OfTheKernel(Row row) {
  row.needs_kernel = true;
  return row;
}

}  // namespace

void AddOthers(std::vector<Row>& rows) {
  rows.push_back(RowOf<PipeReadTrial>("PipeReader::Read"));
  rows.push_back(RowOf<PipeWriteTrial>("PipeWriter::Write"));
  rows.push_back(RowOf<WaitReadableTrial>("WaitReadable"));
  rows.push_back(RowOf<WaitWritableTrial>("WaitWritable"));
  rows.push_back(OfTheKernel(RowOf<SignalTrial>("Signals::Next")));
  rows.push_back(OfTheKernel(RowOf<ProcessWaitTrial>("Process::Wait")));
}

}  // namespace weft::testing
