#include "weft/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/errno_status.h"
#include "lib/io/poll_call.h"
#include "lib/os/syscalls.h"
#include "lib/process/spawn.h"
#include "lib/thread/runtime_services.h"
#include "weft/blocking.h"
#include "weft/cancellation.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/lock.h"
#include "weft/io/pipe.h"
#include "weft/policy.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/thread_builder.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft {

namespace internal {

namespace {

// Until memory, or whatever else a wait needs, may be there again.
constexpr absl::Duration kPauseWithoutMeans = absl::Milliseconds(100);

// Between two looks at a child that has ended and cannot be reaped yet: whoever traces it (ptrace(2)) has to see that
// first.
class Pauses {
 public:
  absl::Duration Next() noexcept { return std::exchange(next_, std::min(2 * next_, absl::Milliseconds(50))); }

 private:
  absl::Duration next_ = absl::Milliseconds(1);
};

}  // namespace

// A child, from its start until it is reaped. Shared by its Process and those that wait for it.
class ChildProcess {
 public:
  // Made before the child is, as is its reaper: who finds no memory afterwards can neither end nor reap it.
  explicit ChildProcess(bool process_group) noexcept
      : pidfd_(OwnedDescriptor::Empty()), process_group_(process_group) {}
  bool HasMemory() const noexcept { return static_cast<bool>(pidfd_); }
  // The child of `child` runs.
  static absl::StatusOr<Process> Begun(std::shared_ptr<ChildProcess> child, Spawned spawned);

  pid_t id() const noexcept { return id_; }
  // Returns an errno. OK for a child that has ended.
  int Signal(int signal) noexcept;
  // SIGKILL, when the Process goes. False: the child may not be killed, and may run for ever.
  bool End() noexcept;
  // In a child of fork(2) it is not ours.
  bool IsInherited() const noexcept { return forks_ != ForksSoFar(); }
  // There, when the Process goes. Without lock_, which a thread of the parent may have held.
  void LeaveToParent() noexcept { pidfd_.Close(); }

  // How the child has ended; or why nobody knows.
  struct Ended {
    int error = 0;
    Process::Exit exit = {};
  };
  // Nothing: the child still runs. If it has ended it is reaped, except for the leader of a group: while that is a
  // zombie, the number of the group is given to nobody else.
  std::optional<Ended> TryWait() noexcept;
  // Reaps the child if it has ended. False: it still runs.
  bool TryReap(int options) noexcept;

  static Task<absl::StatusOr<Process::Exit>> Wait(std::shared_ptr<ChildProcess> child);
  // Of a child whose Process has gone. It owes the Shield: once started, it begins also while the runtime ends. One
  // that was not started by then never is.
  static VirtualThread Reaper(const std::shared_ptr<ChildProcess>& child) {
    return VirtualThread::Builder().AllowThreadLocals(false).Unstarted(Reap(child, Shield(ReapKilled(child))));
  }

 private:
  // Neither makes a frame when it runs: who finds no memory then cannot reap.
  static Task<void> Reap(std::shared_ptr<ChildProcess> child, ShieldAwaiter<void> killed);
  static Task<void> ReapKilled(std::shared_ptr<ChildProcess> child);

  // With lock_ held.
  std::optional<Ended> Ask(int options) noexcept;
  bool HasGroup() noexcept;

  pid_t id_ = -1;
  OwnedDescriptor pidfd_;
  const bool process_group_;
  const uint32_t forks_ = ForksSoFar();
  Lock lock_;  // so that a signal and the reaping do not meet: the number of a group may be given out anew
  // ---- Guarded by lock_.
  std::optional<Ended> ended_;
  bool reaped_ = false;
  bool spared_ = false;  // it may not be killed
};

absl::StatusOr<Process> ChildProcess::Begun(std::shared_ptr<ChildProcess> child, Spawned spawned) {
  child->id_ = spawned.id;
  child->pidfd_.Open(spawned.pidfd.Release());
  Process process(std::move(child));  // from here on the child ends with it
  if (spawned.input.get() >= 0) {
    absl::StatusOr<io::PipeWriter> input = io::PipeWriter::Adopt(spawned.input.Release());
    if (!input.ok()) return input.status();
    process.input_ = *std::move(input);
  }
  for (auto [fd, reader] : {std::pair(&spawned.output, &process.output_), std::pair(&spawned.error, &process.error_)}) {
    if (fd->get() < 0) continue;
    absl::StatusOr<io::PipeReader> output = io::PipeReader::Adopt(fd->Release());
    if (!output.ok()) return output.status();
    *reader = *std::move(output);
  }
  return process;
}

int ChildProcess::Signal(int signal) noexcept {
  std::lock_guard guard(lock_);
  if (reaped_ || (process_group_ && !HasGroup())) return 0;
  const DescriptorUse use = pidfd_.Use("Kill()");
  const int result = process_group_ ? ::kill(-id_, signal) : Sys().pidfd_send_signal(use.fd(), signal);
  return result == 0 || errno == ESRCH ? 0 : errno;
}

bool ChildProcess::End() noexcept {
  int error = Signal(SIGKILL);
  std::lock_guard guard(lock_);
  // Of a group it is enough for kill(2) that one may be killed.
  if (process_group_ && !reaped_) {
    const DescriptorUse use = pidfd_.Use("~Process()");
    error = Sys().pidfd_send_signal(use.fd(), SIGKILL) == 0 ? 0 : errno;
  }
  spared_ = error == EPERM;
  return !spared_;
}

// Is the number still the group's? Somebody else may have reaped the child, and then it may be given out anew.
bool ChildProcess::HasGroup() noexcept {
  const std::optional<Ended> ended = Ask(WNOHANG | WNOWAIT);
  if (!ended.has_value() || ended->error != ECHILD) return true;
  reaped_ = true;
  if (!ended_.has_value()) ended_ = ended;
  return false;
}

std::optional<ChildProcess::Ended> ChildProcess::Ask(int options) noexcept {
  const DescriptorUse use = pidfd_.Use("Wait()");
  siginfo_t info = {};
  int result;
  do {
    result = Sys().waitid(P_PIDFD, static_cast<id_t>(use.fd()), &info, WEXITED | options);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return Ended{.error = errno};
  if (info.si_pid == 0) return std::nullopt;
  const bool exited = info.si_code == CLD_EXITED;
  return Ended{.exit = {.code = exited ? info.si_status : 0, .signal = exited ? 0 : info.si_status}};
}

std::optional<ChildProcess::Ended> ChildProcess::TryWait() noexcept {
  std::lock_guard guard(lock_);
  if (ended_.has_value()) return ended_;
  ended_ = Ask(WNOHANG | (process_group_ ? WNOWAIT : 0));
  reaped_ = ended_.has_value() && (!process_group_ || ended_->error != 0);
  return ended_;
}

bool ChildProcess::TryReap(int options) noexcept {
  std::lock_guard guard(lock_);
  if (reaped_) return true;
  const std::optional<Ended> ended = Ask(options);
  if (!ended.has_value()) return false;
  reaped_ = true;
  if (!ended_.has_value()) ended_ = ended;
  return true;
}

Task<absl::StatusOr<Process::Exit>> ChildProcess::Wait(std::shared_ptr<ChildProcess> child) {
  for (Pauses pauses;; co_await Sleep(pauses.Next())) {
    const int32_t result = co_await PollAwaiter(child->pidfd_.Use("Process::Wait()"), PollAwaiter::For::kProcessEnd);
    if (result < 0) co_return ErrnoToStatus(-result, "Process::Wait()");
    const std::optional<Ended> ended = child->TryWait();
    if (!ended.has_value()) continue;
    if (ended->error != 0) co_return ErrnoToStatus(ended->error, absl::StrCat("waiting for process ", child->id()));
    co_return ended->exit;
  }
}

Task<void> ChildProcess::Reap(std::shared_ptr<ChildProcess> child, ShieldAwaiter<void> killed) {
  bool spared;
  {
    std::lock_guard guard(child->lock_);
    spared = child->spared_;
  }
  if (!spared) co_return co_await std::move(killed);
  // It runs as long as it likes, and the end of the runtime does not wait for it.
  for (Pauses pauses; !child->TryReap(WNOHANG);) {
    const int32_t result = co_await PollAwaiter(child->pidfd_.Use("~Process()"), PollAwaiter::For::kProcessEnd);
    if (result >= 0 && child->TryReap(WNOHANG)) co_return;
    co_await Sleep(result < 0 ? kPauseWithoutMeans : pauses.Next());
  }
}

Task<void> ChildProcess::ReapKilled(std::shared_ptr<ChildProcess> child) {
  for (Pauses pauses; !child->TryReap(WNOHANG);) {
    const int32_t result = co_await PollAwaiter(child->pidfd_.Use("~Process()"), PollAwaiter::For::kProcessEnd);
    if (result >= 0 && child->TryReap(WNOHANG)) co_return;
    // The end is something that nobody has the means to wait for. It comes soon.
    if (result < 0 && (co_await Blocking([&] { static_cast<void>(child->TryReap(0)); })).ok()) co_return;
    co_await Sleep(result < 0 ? kPauseWithoutMeans : pauses.Next());
  }
}

}  // namespace internal

namespace {

using internal::ChildProcess;

}  // namespace

std::ostream& operator<<(std::ostream& out, const Process::Exit& exit) {
  return exit.signal != 0 ? out << "killed by signal " << exit.signal : out << "exit code " << exit.code;
}

Task<absl::StatusOr<Process>> Process::Start(std::vector<std::string> arguments, Options options) {
  const auto child = std::make_shared<ChildProcess>(options.process_group);
  if (!child->HasMemory()) {
    co_await internal::CheckpointAwaiter();
    co_return internal::ErrnoToStatus(ENOMEM, "starting a process");
  }
  VirtualThread reaper = ChildProcess::Reaper(child);
  absl::StatusOr<Process> process = co_await Blocking([&]() -> absl::StatusOr<Process> {
    absl::StatusOr<internal::Spawned> spawned = internal::Spawn(arguments, options);
    if (!spawned.ok()) return spawned.status();
    return ChildProcess::Begun(child, *std::move(spawned));
  });
  if (process.ok()) process->reaper_ = std::move(reaper);
  co_return process;
}

Task<absl::StatusOr<Process>> Process::Start(std::vector<std::string> arguments) {
  return Start(std::move(arguments), Options());
}

Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  End();
  child_ = std::move(other.child_);
  reaper_ = std::exchange(other.reaper_, std::nullopt);
  input_ = std::move(other.input_);
  output_ = std::move(other.output_);
  error_ = std::move(other.error_);
  return *this;
}

Process::~Process() { End(); }

void Process::End() noexcept {
  if (child_ == nullptr) return;
  if (child_->IsInherited()) {
    child_->LeaveToParent();
  } else if (const bool ends = child_->End(); !child_->TryReap(WNOHANG)) {
    const bool on_thread = VirtualThread::HasCurrent() && reaper_.has_value();
    if (on_thread) reaper_->Start();
    // Nobody else reaps it: this is an OS thread, or the runtime that started the child has ended.
    if (ends && (!on_thread || !reaper_->IsAlive())) child_->TryReap(0);
  }
  reaper_.reset();
  child_.reset();
}

Task<absl::StatusOr<Process::Exit>> Process::Wait() {
  WEFT_CHECK(child_ != nullptr) << "Wait() for a Process that was moved from";
  return ChildProcess::Wait(child_);
}

absl::Status Process::Kill(int signal) {
  WEFT_CHECK(child_ != nullptr) << "Kill() of a Process that was moved from";
  return internal::ErrnoToStatus(child_->Signal(signal), absl::StrCat("signal ", signal));
}

absl::Status Process::Kill() { return Kill(SIGKILL); }

Task<absl::StatusOr<Process::Exit>> Process::Stop(TimeSpan grace) {
  WEFT_CHECK(child_ != nullptr) << "Stop() of a Process that was moved from";
  return [](std::shared_ptr<ChildProcess> child, absl::Duration wait_for) -> Task<absl::StatusOr<Exit>> {
    if (const int error = child->Signal(SIGTERM); error != 0) {
      co_await internal::CheckpointAwaiter();
      co_return internal::ErrnoToStatus(error, "SIGTERM");
    }
    if (std::optional<absl::StatusOr<Exit>> ended = co_await MoveOnAfter(wait_for, ChildProcess::Wait(child))) {
      co_return *std::move(ended);
    }
    if (const int error = child->Signal(SIGKILL); error != 0) co_return internal::ErrnoToStatus(error, "SIGKILL");
    co_return co_await ChildProcess::Wait(child);
  }(child_, grace);
}

pid_t Process::id() const noexcept { return child_ == nullptr ? -1 : child_->id(); }

io::PipeWriter& Process::standard_input() {
  WEFT_CHECK(input_.has_value()) << "standard_input() of a Process whose standard input is no pipe";
  return *input_;
}

io::PipeReader& Process::standard_output() {
  WEFT_CHECK(output_.has_value()) << "standard_output() of a Process whose standard output is no pipe";
  return *output_;
}

io::PipeReader& Process::standard_error() {
  WEFT_CHECK(error_.has_value()) << "standard_error() of a Process whose standard error is no pipe";
  return *error_;
}

// ---- Run().

namespace {

Task<absl::Status> Feed(io::PipeWriter& input, const std::string& data) {
  absl::Status written = co_await input.Write(data);
  input.Close();
  // A child need not read all that it is given.
  co_return ErrnoOf(written) == EPIPE ? absl::OkStatus() : written;
}

// One of the child's streams, into a string.
struct Collector {
  io::PipeReader& output;
  const char* const what;
  const size_t max_bytes;
  std::string& into;
  char chunk[16 << 10] = {};
  bool ended = false;

  Task<absl::Status> ReadToEnd() {
    while (!ended) {
      const absl::StatusOr<size_t> got = co_await output.Read(chunk);
      if (!got.ok()) co_return got.status();
      if (absl::Status s = Take(*got); !s.ok()) co_return s;
    }
    co_return absl::OkStatus();
  }
  // Without waiting; the reader is in non-blocking mode. What the child itself has written is in the pipe: what comes
  // after as much as that can hold is of others, who may go on for ever.
  absl::Status ReadWhatIsThere() {
    if (ended) return absl::OkStatus();
    const int fd = output.native_handle();
    const int capacity = internal::Sys().fcntl(fd, F_GETPIPE_SZ, 0);
    if (capacity < 0) return internal::ErrnoToStatus(errno, absl::StrCat("reading the child's ", what));
    // One byte more, to see the end.
    for (size_t left = static_cast<size_t>(capacity) + 1; !ended && left > 0;) {
      const ssize_t got = internal::Sys().read(fd, chunk, std::min(left, sizeof(chunk)));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) break;
      if (absl::Status s = Take(static_cast<size_t>(got)); !s.ok()) return s;
      left -= static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }
  absl::Status Take(size_t got) {
    ended = got == 0;
    if (got > max_bytes - into.size()) {
      return absl::ResourceExhaustedError(absl::StrCat("the child wrote more than ", max_bytes, " bytes to ", what));
    }
    into.append(chunk, got);
    return absl::OkStatus();
  }
};

}  // namespace

Task<absl::StatusOr<Process::Output>> Process::Run(std::vector<std::string> arguments, RunOptions options) {
  absl::StatusOr<Process> child = co_await Start(
      std::move(arguments), {.standard_input = options.input.empty() ? kNull : kPipe,
                             .standard_output = kPipe,
                             .standard_error = kPipe,
                             .working_directory = std::move(options.working_directory),
                             .environment = std::move(options.environment),
                             .inherit_environment = options.inherit_environment,
                             .process_group = options.process_group});
  if (!child.ok()) co_return child.status();
  Output output;
  Collector collectors[] = {
      {child->standard_output(), "standard output", options.max_output, output.standard_output},
      {child->standard_error(), "standard error", options.max_output, output.standard_error},
  };
  {
    ShutdownOnFailure scope;
    if (!options.input.empty()) scope.Fork(Feed(child->standard_input(), options.input));
    for (Collector& each : collectors) scope.Fork(each.ReadToEnd());
    scope.ForkDaemon([&]() -> Task<absl::Status> {
      const absl::StatusOr<Exit> ended = co_await child->Wait();
      if (!ended.ok()) co_return ended.status();
      co_await Sleep(options.wait_delay);
      scope.Shutdown("wait_delay");
      co_return absl::OkStatus();
    });
    if (absl::Status joined = co_await scope.Join(); !joined.ok()) co_return joined;
  }
  for (Collector& each : collectors) {
    if (absl::Status s = each.ReadWhatIsThere(); !s.ok()) co_return s;  // what the child itself has written, at least
    output.complete = output.complete && each.ended;
  }
  absl::StatusOr<Exit> exit = co_await child->Wait();
  if (!exit.ok()) co_return exit.status();
  output.exit = *exit;
  co_return output;
}

Task<absl::StatusOr<Process::Output>> Process::Run(std::vector<std::string> arguments) {
  return Run(std::move(arguments), RunOptions());
}

}  // namespace weft
