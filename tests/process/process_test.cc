// Child processes.
#include "weft/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/coro/frame_fault.h"
#include "lib/os/syscalls.h"
#include "lib/testing/syscall_fault.h"
#include "tests/net/on_backends.h"
#include "tests/support/allocator.h"
#include "tests/support/counted.h"
#include "tests/support/read_to_end.h"
#include "weft/fs/contents.h"
#include "weft/fs/file.h"
#include "weft/fs/temporary.h"
#include "weft/io/unique_descriptor.h"
#include "weft/virtual_thread_local.h"
#include "weft/weft.h"

namespace weft::testing {
namespace {

using internal::ScopedSyscallFault;
using internal::Syscalls;

Task<Process> StartShell(std::string script, Process::Options options = {}) {
  absl::StatusOr<Process> child = co_await Process::Start({"/bin/sh", "-c", std::move(script)}, std::move(options));
  EXPECT_TRUE(child.ok()) << child.status();
  co_return *std::move(child);
}

Task<Process::Output> RunShell(std::string script, Process::RunOptions options = {}) {
  absl::StatusOr<Process::Output> output =
      co_await Process::Run({"/bin/sh", "-c", std::move(script)}, std::move(options));
  EXPECT_TRUE(output.ok()) << output.status();
  co_return *std::move(output);
}

// Nobody has such a child any more, not even as a zombie; -1: nobody has any. Reaps nothing.
bool IsGone(pid_t id) {
  siginfo_t info;
  const int result = ::waitid(id < 0 ? P_ALL : P_PID, id < 0 ? 0 : static_cast<id_t>(id), &info,
                              WEXITED | WNOHANG | WNOWAIT);
  return result < 0 && errno == ECHILD;
}

// An orphan that has ended may be a zombie for a while: others reap it.
bool Runs(pid_t id) {
  std::ifstream stat(absl::StrCat("/proc/", id, "/stat"));
  std::string number, name, state;
  return stat >> number >> name >> state && state != "Z" && state != "X";
}

class ProcessTest : public OnBackends {};
WEFT_ON_REAL_BACKENDS(ProcessTest);

TEST_P(ProcessTest, RunReturnsWhatAChildWroteAndHowItEnded) {
  Everywhere([]() -> Task<void> {
    const Process::Output output = co_await RunShell("cat; echo oops >&2; exit 3", {.input = "hello"});
    EXPECT_EQ(output.standard_output, "hello");
    EXPECT_EQ(output.standard_error, "oops\n");
    EXPECT_EQ(output.exit, (Process::Exit{.code = 3}));
    EXPECT_FALSE(output.exit.success());
  });
}

TEST_P(ProcessTest, ManyBytesGoBothWaysAtOnce) {
  Everywhere([]() -> Task<void> {
    const std::string large(500'000, 'z');
    const Process::Output output = co_await RunShell("cat", {.input = large});
    EXPECT_TRUE(output.standard_output == large);
    EXPECT_TRUE(output.exit.success());
  });
}

TEST_P(ProcessTest, AChildNeedNotReadItsInput) {
  Everywhere([]() -> Task<void> {
    const Process::Output output = co_await RunShell("exit 0", {.input = std::string(500'000, 'z')});
    EXPECT_TRUE(output.exit.success());
  });
}

TEST_P(ProcessTest, TooMuchOutputIsAnErrorAndKillsTheChild) {
  Everywhere([]() -> Task<void> {
    const absl::StatusOr<Process::Output> output =
        co_await Process::Run({"/bin/sh", "-c", "while :; do echo much; done"}, {.max_output = 1000});
    EXPECT_EQ(output.status().code(), absl::StatusCode::kResourceExhausted) << output.status();
  });
}

TEST_P(ProcessTest, PipesAreTheChildsStandardStreams) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell(
        "read line; echo got $line",
        {.standard_input = Process::kPipe, .standard_output = Process::kPipe, .standard_error = Process::kNull});
    EXPECT_TRUE((co_await child.standard_input().Write("a line\n")).ok());
    child.standard_input().Close();
    EXPECT_EQ(co_await ReadToEnd(child.standard_output()), "got a line\n");
    EXPECT_TRUE((co_await child.Wait())->success());
  });
}

TEST_P(ProcessTest, ADescriptorCanBeAStreamAlsoThatOfAnother) {
  Everywhere([]() -> Task<void> {
    io::PipeEnds pipe = *io::MakePipe();
    const Process::Redirect both = Process::Redirect::To(pipe.writer.native_handle());
    Process child = co_await StartShell("echo one; echo two >&2", {.standard_output = both, .standard_error = both});
    pipe.writer.Close();
    EXPECT_EQ(co_await ReadToEnd(pipe.reader), "one\ntwo\n");
    EXPECT_TRUE((co_await child.Wait())->success());
  });
}

TEST_P(ProcessTest, FurtherDescriptorsFollowTheStandardStreams) {
  Everywhere([]() -> Task<void> {
    io::PipeEnds in = *io::MakePipe(), out = *io::MakePipe();
    EXPECT_TRUE((co_await in.writer.Write("hello")).ok());
    in.writer.Close();
    const int read = in.reader.native_handle(), written = out.writer.native_handle();
    Process child = co_await StartShell("cat <&3 >&4; ls /proc/self/fd | wc -l >&5",
                                        {.standard_output = Process::kNull, .descriptors = {read, written, written}});
    EXPECT_TRUE((co_await child.Wait()).ok());
    out.writer.Close();
    EXPECT_EQ(co_await ReadToEnd(out.reader), "hello7\n");  // the directory that ls reads is one of them
    // Whatever numbers they have here while each is opened anew.
    io::PipeEnds pipe = *io::MakePipe();
    const io::UniqueDescriptor file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    std::vector<int> many(48, pipe.writer.native_handle());
    many.push_back(file.get());
    Process last = co_await StartShell("[ /proc/self/fd/51 -ef /etc/passwd ]", {.descriptors = many});
    EXPECT_TRUE((co_await last.Wait())->success());
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"}, {.descriptors = {-1}})).status()), EBADF);
    const std::vector<int> too_many(2'000'000, 0);
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"}, {.descriptors = too_many})).status()), EINVAL);
  });
}

// A file that is given away keeps its position and its mode: nothing is overwritten.
TEST_P(ProcessTest, ChildrenWriteWhereTheFileThatTheyAreGivenStands) {
  Everywhere([]() -> Task<void> {
    fs::TemporaryDirectory directory = (co_await fs::TemporaryDirectory::Create()).value();
    const std::string path = directory.path() + "/log";
    for (const bool append : {false, true}) {
      fs::File log = (co_await fs::File::Open(path, {.write = true, .append = append, .create = true})).value();
      const Process::Redirect both = Process::Redirect::To(log.native_handle());
      for (int i = 0; i < 2; ++i) {
        Process child =
            co_await StartShell("echo one; echo two >&2", {.standard_output = both, .standard_error = both});
        EXPECT_TRUE((co_await child.Wait())->success());
      }
    }
    std::string expected;
    for (int i = 0; i < 4; ++i) expected += "one\ntwo\n";
    EXPECT_EQ((co_await fs::ReadFile(path)).value(), expected);
    EXPECT_TRUE((co_await directory.Remove()).ok());
  });
}

TEST_P(ProcessTest, OneChildReadsWhatAnotherWritesInBlockingMode) {
  Everywhere([]() -> Task<void> {
    Process first = co_await StartShell("read line; echo $line; sleep 0.01; echo two",
                                        {.standard_input = Process::kPipe, .standard_output = Process::kPipe});
    Process second = co_await StartShell(
        "cat", {.standard_input = Process::Redirect::To(first.standard_output().native_handle()),
                .standard_output = Process::kPipe});
    first.standard_output().Close();
    EXPECT_TRUE((co_await first.standard_input().Write("one\n")).ok());
    EXPECT_EQ(co_await ReadToEnd(second.standard_output()), "one\ntwo\n");
    EXPECT_TRUE((co_await second.Wait())->success());
  });
}

// ---- Streams in blocking mode.

// A FIFO in non-blocking mode whose other end nobody has.
int OpenLonelyFifo(const std::string& path, int flags) {
  EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int both = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  const int fd = ::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC);
  EXPECT_GE(fd, 0);
  ::close(both);
  return fd;
}

TEST_P(ProcessTest, AFifoWhoseOtherEndNobodyHasKeepsNobodyWaiting) {
  Everywhere([]() -> Task<void> {
    fs::TemporaryDirectory directory = (co_await fs::TemporaryDirectory::Create()).value();
    const int reader = OpenLonelyFifo(directory.path() + "/in", O_RDONLY);
    const int writer = OpenLonelyFifo(directory.path() + "/out", O_WRONLY);
    // Nobody writes, so the child reads the end at once, also in blocking mode.
    Process child = co_await StartShell("cat", {.standard_input = Process::Redirect::To(reader)});
    EXPECT_TRUE((co_await child.Wait())->success());
    const absl::StatusOr<Process> refused =
        co_await Process::Start({"true"}, {.standard_output = Process::Redirect::To(writer)});
    EXPECT_EQ(ErrnoOf(refused.status()), ENXIO) << refused.status();
    ::close(reader);
    ::close(writer);
    EXPECT_TRUE((co_await directory.Remove()).ok());
  });
}

TEST_P(ProcessTest, APipeThatCannotBeGivenInBlockingModeIsAnErrorOfStart) {
  Everywhere([]() -> Task<void> {
    const io::PipeEnds pipe = *io::MakePipe();
    const Process::Redirect stream = Process::Redirect::To(pipe.writer.native_handle());
    for (const int error : {EACCES, ENOENT}) {
      const ScopedSyscallFault fault(&Syscalls::openat, {.error = error});
      EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"}, {.standard_input = stream})).status()), error);
    }
    for (const int first : {1, 2}) {  // what mode it has, which for nobody is an error, and to set it
      const ScopedSyscallFault fault(&Syscalls::fcntl, {.first = first, .error = EINVAL});
      EXPECT_EQ((co_await Process::Start({"true"}, {.standard_input = stream})).ok(), first == 1);
    }
  });
}

// Both sides of a terminal, in non-blocking mode.
struct Terminal {
  Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    EXPECT_EQ(::grantpt(master) | ::unlockpt(master), 0);
    slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(slave, 0);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::close(slave);
    ::close(master);
  }

  const int master;
  int slave = -1;
};

// What a child has at 0, as the kernel tells it in /proc/<id>/fdinfo.
Task<std::string> InfoOfStream(int fd) {
  Process child = co_await StartShell("cat /proc/self/fdinfo/0", {.standard_input = Process::Redirect::To(fd),
                                                                  .standard_output = Process::kPipe});
  co_return co_await ReadToEnd(child.standard_output());
}

// The value of `name` in it.
std::string ValueIn(const std::string& info, const std::string& name) {
  const size_t at = info.find(name + ":\t");
  if (at == std::string::npos) return "none";
  const size_t begin = at + name.size() + 2;
  return info.substr(begin, info.find('\n', begin) - begin);
}

int terminal_flags = 0;

TEST_P(ProcessTest, AChildsTerminalIsOpenedAnewAndDoesNotBecomeOurs) {
  static const Syscalls looks = [] {
    Syscalls table = internal::RealSyscalls();
    table.openat = [](int directory, const char* path, int flags, mode_t mode) {
      if (std::string(path).starts_with("/proc/self/fd/")) terminal_flags = flags;
      return internal::RealSyscalls().openat(directory, path, flags, mode);
    };
    return table;
  }();
  Everywhere([]() -> Task<void> {
    const Terminal terminal;
    const internal::ScopedSyscalls scope(looks);
    terminal_flags = 0;
    const std::string flags = ValueIn(co_await InfoOfStream(terminal.slave), "flags");
    EXPECT_EQ(std::stoi(flags, nullptr, 8) & (O_NONBLOCK | O_ACCMODE), O_RDWR) << flags;
    EXPECT_EQ(terminal_flags & O_NOCTTY, O_NOCTTY);
  });
}

// Its name leads to another one each time that it is opened.
TEST_P(ProcessTest, TheMasterOfATerminalStaysTheOneThatItIs) {
  Everywhere([]() -> Task<void> {
    const Terminal terminal;
    int number = -1;
    EXPECT_EQ(::ioctl(terminal.master, TIOCGPTN, &number), 0);
    EXPECT_EQ(ValueIn(co_await InfoOfStream(terminal.master), "tty-index"), absl::StrCat(number));
  });
}

TEST_P(ProcessTest, TheEnvironmentIsAddedToOrReplaced) {
  Everywhere([]() -> Task<void> {
    ::setenv("WEFT_TEST_INHERITED", "inherited", 1);
    ::setenv("WEFT_TEST_CHANGED", "before", 1);
    const std::string script = "echo $WEFT_TEST_INHERITED $WEFT_TEST_CHANGED $WEFT_TEST_ADDED";
    EXPECT_EQ((co_await RunShell(script, {.environment = {"WEFT_TEST_CHANGED=after", "WEFT_TEST_ADDED=added"}}))
                  .standard_output,
              "inherited after added\n");
    EXPECT_EQ((co_await RunShell(script, {.environment = {"WEFT_TEST_ADDED=only"}, .inherit_environment = false}))
                  .standard_output,
              "only\n");
  });
}

TEST_P(ProcessTest, AChildStartsInItsWorkingDirectory) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ((co_await RunShell("pwd", {.working_directory = "/usr"})).standard_output, "/usr\n");
  });
}

TEST_P(ProcessTest, AChildHasNoneOfOurDescriptorsAndNoBlockedSignal) {
  Everywhere([]() -> Task<void> {
    const int inheritable = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as other libraries open them
    EXPECT_GE(inheritable, 3);
    const Process::Output output =
        co_await RunShell("ls /proc/self/fd | wc -l; grep -E 'SigBlk|SigIgn' /proc/self/status | cut -c 17-");
    ::close(inheritable);
    // 0, 1, 2, and the directory that ls reads. The C library keeps the signals 32 and 33 to itself.
    EXPECT_EQ(absl::StrReplaceAll(output.standard_output, {{"80000000", "00000000"}}), "4\n00000000\n00000000\n");
  });
}

TEST_P(ProcessTest, WhatCannotBeStartedIsAnErrorOfStart) {
  Everywhere([]() -> Task<void> {
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"/no/such/program"})).status()), ENOENT);
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"/etc/passwd"})).status()), EACCES);
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"}, {.working_directory = "/no/such/place"})).status()), ENOENT);
    EXPECT_EQ((co_await Process::Start({})).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ((co_await Process::Start({"echo", std::string("a\0b", 3)})).status().code(),
              absl::StatusCode::kInvalidArgument);
  });
}

TEST_P(ProcessTest, AnyNumberOfThreadsWaitAnyNumberOfTimes) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("read line; exit 7", {.standard_input = Process::kPipe});
    AwaitAll scope;
    for (int i = 0; i < 3; ++i) {
      scope.Fork([&]() -> Task<void> { EXPECT_EQ((co_await child.Wait())->code, 7); });
    }
    for (int i = 0; i < 5; ++i) co_await Yield();
    child.standard_input().Close();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ((co_await child.Wait())->code, 7);
    EXPECT_TRUE(child.Kill().ok());  // nobody
    EXPECT_TRUE(IsGone(child.id()));
  });
}

TEST_P(ProcessTest, ASignalEndsAChild) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("exec sleep 1000");
    EXPECT_TRUE(child.Kill(SIGUSR1).ok());
    const absl::StatusOr<Process::Exit> exit = co_await child.Wait();
    EXPECT_EQ(*exit, (Process::Exit{.signal = SIGUSR1}));
    std::ostringstream text;
    text << *exit << ", " << Process::Exit{.code = 1};
    EXPECT_EQ(text.str(), absl::StrCat("killed by signal ", SIGUSR1, ", exit code 1"));
  });
}

TEST_P(ProcessTest, AProcessThatGoesTakesItsChildAlong) {
  Everywhere([]() -> Task<void> {
    pid_t id;
    {
      const Process child = co_await StartShell("exec sleep 1000");
      id = child.id();
      EXPECT_EQ(::kill(id, 0), 0);
    }
    while (!IsGone(id)) co_await Sleep(absl::Microseconds(100));
  });
}

TEST_P(ProcessTest, ACancelledWaitLeavesTheChildRunning) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("exec sleep 1000");
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(1), child.Wait())).has_value());
    EXPECT_EQ(::kill(child.id(), 0), 0);
  });
}

TEST_P(ProcessTest, ACancelledRunKillsTheChild) {
  Everywhere([]() -> Task<void> {
    EXPECT_FALSE((co_await MoveOnAfter(absl::Milliseconds(5), Process::Run({"sleep", "1000"}))).has_value());
    while (!IsGone(-1)) co_await Sleep(absl::Microseconds(100));
  });
}

TEST_P(ProcessTest, StopAsksFirstAndKillsThen) {
  Everywhere([]() -> Task<void> {
    Process polite = co_await StartShell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done",
                                         {.standard_output = Process::kPipe});
    char buffer[16];
    EXPECT_TRUE((co_await polite.standard_output().Read(buffer)).ok());
    EXPECT_EQ((co_await polite.Stop(absl::InfiniteDuration()))->code, 5);
    Process stubborn = co_await StartShell("trap '' TERM; echo ready; while :; do sleep 0.01; done",
                                           {.standard_output = Process::kPipe});
    EXPECT_TRUE((co_await stubborn.standard_output().Read(buffer)).ok());
    EXPECT_EQ((co_await stubborn.Stop(absl::Milliseconds(10)))->signal, SIGKILL);
  });
}

TEST_P(ProcessTest, AStopThatFailsAtOnceIsACheckpointStill) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("exec sleep 1000");
    const ScopedSyscallFault fault(&Syscalls::pidfd_send_signal,
                                   {.times = ScopedSyscallFault::kForever, .error = EPERM});
    AwaitAll scope;
    const auto stopped = scope.Fork([&]() -> Task<void> {
      for (;;) EXPECT_EQ(ErrnoOf((co_await child.Stop(absl::InfiniteDuration())).status()), EPERM);
    });
    co_await Yield();
    scope.Shutdown();
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_EQ(stopped.state(), AnySubtask::State::kUnavailable);
    EXPECT_EQ(::kill(child.id(), SIGKILL), 0);
  });
}

TEST_P(ProcessTest, AGroupGetsSignalsAsAWhole) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("sleep 1000 & echo $!; wait",
                                        {.standard_output = Process::kPipe, .process_group = true});
    char buffer[16];
    EXPECT_TRUE((co_await child.standard_output().Read(buffer)).ok());
    EXPECT_TRUE(child.Kill().ok());
    EXPECT_EQ((co_await child.Wait())->signal, SIGKILL);
    // The grandchild, too, has closed its end.
    EXPECT_EQ(co_await ReadToEnd(child.standard_output()), "");
  });
}

// What the child leaves behind is its group all the same, also when the child has ended and was waited for.
TEST_P(ProcessTest, NothingOfAGroupOutlivesItsProcess) {
  Everywhere([]() -> Task<void> {
    io::PipeEnds open = *io::MakePipe();  // by whoever is left
    const auto leaves_one = [&]() {
      return StartShell("sleep 1000 &", {.standard_output = Process::Redirect::To(open.writer.native_handle()),
                                         .process_group = true});
    };
    pid_t id;
    {
      Process child = co_await leaves_one();
      id = child.id();
      EXPECT_TRUE((co_await child.Wait())->success());
      EXPECT_FALSE(IsGone(id));  // its number is not given away
      EXPECT_TRUE((co_await child.Wait())->success());
      EXPECT_TRUE((co_await child.Stop(absl::InfiniteDuration()))->success());
    }
    EXPECT_TRUE(IsGone(id));
    Process second = co_await leaves_one();
    EXPECT_TRUE((co_await second.Wait())->success());
    EXPECT_TRUE(second.Kill().ok());  // the rest of the group
    open.writer.Close();
    EXPECT_EQ(co_await ReadToEnd(open.reader), "");
  });
}

// Its number may be another group's by now.
TEST_P(ProcessTest, AGroupWhoseLeaderSomebodyElseHasReapedGetsNoSignal) {
  Everywhere([]() -> Task<void> {
    std::optional<Process> child = co_await StartShell(
        "sh -c \"trap 'echo USR1' USR1; trap 'echo TERM; exit' TERM; echo \\$\\$; while :; do sleep 0.01; done\" &",
        {.standard_output = Process::kPipe, .process_group = true});
    char buffer[16];
    const absl::StatusOr<size_t> got = co_await child->standard_output().Read(buffer);
    const pid_t left = static_cast<pid_t>(std::stoi(std::string(buffer, *got)));
    EXPECT_EQ(::waitpid(child->id(), nullptr, 0), child->id());
    EXPECT_TRUE(child->Kill(SIGUSR1).ok());
    EXPECT_EQ(ErrnoOf((co_await child->Wait()).status()), ECHILD);
    io::PipeReader output = std::move(child->standard_output());
    child.reset();
    EXPECT_EQ(::kill(left, SIGTERM), 0);
    EXPECT_EQ(co_await ReadToEnd(output), "TERM\n");
  });
}

TEST_P(ProcessTest, RunGivesUpWaitingForWhoeverElseHasTheOutput) {
  Everywhere([]() -> Task<void> {
    for (const bool process_group : {false, true}) {
      const Process::Output output = co_await RunShell(
          "sleep 1000 & echo $!", {.process_group = process_group, .wait_delay = absl::Milliseconds(1)});
      EXPECT_TRUE(output.exit.success());
      EXPECT_FALSE(output.complete);
      const pid_t left = static_cast<pid_t>(std::stoi(output.standard_output));
      if (!process_group) EXPECT_EQ(::kill(left, SIGKILL), 0);
      while (Runs(left)) co_await Sleep(absl::Microseconds(100));
    }
    // Whether the delay or the end came first: what the child itself wrote is there, and all of it.
    const std::string large(100'000, 'z');
    for (int i = 0; i < 10; ++i) {
      const Process::Output output =
          co_await RunShell("cat; echo oops >&2", {.input = large, .wait_delay = absl::ZeroDuration()});
      EXPECT_TRUE(output.standard_output == large);
      EXPECT_EQ(output.standard_error, "oops\n");
      EXPECT_TRUE(output.complete);
    }
  });
}

TEST_P(ProcessTest, AChildThatSomebodyElseReapsIsAnErrorOfWait) {
  Everywhere([]() -> Task<void> {
    Process child = co_await StartShell("exit 0");
    while (::waitpid(child.id(), nullptr, WNOHANG) == 0) co_await Sleep(absl::Microseconds(100));
    EXPECT_EQ(ErrnoOf((co_await child.Wait()).status()), ECHILD);
  });
}

TEST_P(ProcessTest, EveryErrorOfTheCallsIsAStatusAndLeavesNothingBehind) {
  Everywhere([]() -> Task<void> {
    const int before = ::dup(0);
    const auto fails = [](auto entry, int first, int error) -> Task<void> {
      const ScopedSyscallFault fault(entry, {.first = first, .error = error});
      absl::StatusOr<Process> child = co_await Process::Start(
          {"sleep", "1000"},
          {.standard_input = Process::kPipe, .standard_output = Process::kPipe, .standard_error = Process::kNull});
      EXPECT_EQ(ErrnoOf(child.status()), error) << child.status();
    };
    for (const int error : {EAGAIN, ENOMEM}) co_await fails(&Syscalls::posix_spawnp, 1, error);
    for (const int error : {EMFILE, ENFILE, ENOMEM, EINVAL}) co_await fails(&Syscalls::pidfd_open, 1, error);
    for (const int first : {1, 2}) co_await fails(&Syscalls::pipe2, first, EMFILE);
    for (const int first : {1, 2, 3}) co_await fails(&Syscalls::fcntl, first, EMFILE);
    co_await fails(&Syscalls::openat, 1, EMFILE);
    while (!IsGone(-1)) co_await Sleep(absl::Microseconds(100));
    const int after = ::dup(0);
    EXPECT_EQ(after, before + 1);
    ::close(before);
    ::close(after);
  });
}

// What has come to an end before it is seen: so many calls that do not wait for it are told that the child still runs.
std::atomic<int> lies = 0;
int WaitIdThatLies(idtype_t type, id_t id, siginfo_t* info, int options) {
  if ((options & WNOHANG) == 0 || --lies < 0) return internal::RealSyscalls().waitid(type, id, info, options);
  info->si_pid = 0;
  return 0;
}

// The wait for the end may need what is not there: it is reaped all the same, by a call that blocks until the end.
TEST(ProcessEndTest, AProcessWhoseEndCannotBeWaitedForIsReaped) {
  static const Syscalls late = [] {
    Syscalls table = internal::RealSyscalls();
    table.epoll_ctl = [](int, int, int, epoll_event*) {
      errno = ENOSPC;
      return -1;
    };
    table.waitid = &WaitIdThatLies;
    return table;
  }();
  lies = 2;  // to the destructor, and to the reaper
  (*Runtime::Create({.parallelism = 1, .io = IoBackend::kEpoll}))->Run([]() -> Task<void> {
    std::optional<Process> child = co_await StartShell("exec sleep 1000");
    const internal::ScopedSyscalls scope(late);
    child.reset();
    while (!IsGone(-1)) co_await Yield();
  }());
}

// Who traces a child (strace(1), a debugger) sees its end first: its pidfd is ready, and waitid(2) has nothing yet. The
// pauses are of 1, 2, 4, ... ms, and those who reap look before and after each wait.
TEST(ProcessEndTest, WhoeverWaitsForAChildThatHasEndedAndCannotBeReapedYetPauses) {
  static const Syscalls traced = [] {
    Syscalls table = internal::RealSyscalls();
    table.waitid = &WaitIdThatLies;
    return table;
  }();
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    const internal::ScopedSyscalls scope(traced);
    {
      Process child = co_await StartShell("exit 3");
      lies = 5;
      const MonotonicTime before = MonotonicNow();
      EXPECT_EQ((co_await child.Wait())->code, 3);
      EXPECT_GE(MonotonicNow() - before, absl::Milliseconds(1 + 2 + 4 + 8 + 16));
    }
    for (const bool spared : {false, true}) {
      std::optional<Process> child = co_await StartShell("exec sleep 1000");
      const pid_t id = child->id();
      lies = 1 + 2 * 4;  // the destructor's look, and four waits
      const MonotonicTime before = MonotonicNow();
      {
        const ScopedSyscallFault fault(&Syscalls::pidfd_send_signal, {.times = spared ? 1 : 0, .error = EPERM});
        child.reset();
      }
      if (spared) EXPECT_EQ(::kill(id, SIGKILL), 0);
      while (!IsGone(id)) co_await Yield();
      EXPECT_GE(MonotonicNow() - before, absl::Milliseconds(1 + 2 + 4 + 8));
    }
  }());
}

std::atomic<bool> child_has_ended = false;

// Writes to the pipe that `fd` reads from; nothing to anything else.
void WriteMore(int fd) {
  const int writer = ::open(absl::StrCat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (writer < 0) return;
  const std::string more(1024, 'y');
  EXPECT_EQ(::write(writer, more.data(), more.size()), static_cast<ssize_t>(more.size()));
  ::close(writer);
}

// Once the child has ended, whoever else has its output goes on writing as fast as it is read.
TEST(ProcessEndTest, OfWhatOthersWriteWithoutEndRunReadsNoMoreThanAPipeHolds) {
  static const Syscalls busy = [] {
    Syscalls table = internal::RealSyscalls();
    table.waitid = [](idtype_t type, id_t id, siginfo_t* info, int options) {
      const int result = internal::RealSyscalls().waitid(type, id, info, options);
      if (result == 0 && info->si_pid != 0) child_has_ended = true;
      return result;
    };
    table.read = [](int fd, void* buffer, size_t size) {
      if (child_has_ended) WriteMore(fd);
      return internal::RealSyscalls().read(fd, buffer, size);
    };
    return table;
  }();
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    const internal::ScopedSyscalls scope(busy);
    const absl::StatusOr<Process::Output> output = co_await Process::Run(
        {"/bin/sh", "-c", "sleep 1000 & echo started"},
        {.max_output = 1 << 20, .process_group = true, .wait_delay = absl::ZeroDuration()});
    child_has_ended = false;
    EXPECT_TRUE(output.ok()) << output.status();
    if (!output.ok()) co_return;
    EXPECT_FALSE(output->complete);
    EXPECT_TRUE(output->standard_output.starts_with("started\ny")) << output->standard_output.substr(0, 20);
    EXPECT_TRUE(output->exit.success());
  }());
}

TEST(ProcessEndTest, WhatReapsAChildInheritsNoThreadLocals) {
  static InheritableVirtualThreadLocal<Counted> inherited("inherited", [] { return Counted(1); });
  (*Runtime::Create())->Run([]() -> Task<void> {
    inherited.Get();
    const int64_t before = Counted::made;
    {
      const Process child = co_await StartShell("exec sleep 1000");
    }
    while (!IsGone(-1)) co_await Yield();
    EXPECT_EQ(Counted::made, before);
  }());
}

// As one that runs as another user.
TEST(ProcessEndTest, NobodyWaitsForTheEndOfAChildThatMayNotBeKilled) {
  for (const bool on_thread : {true, false}) {
    std::optional<Process> child;
    pid_t id = -1;
    const auto let_go = [&] {
      const ScopedSyscallFault fault(&Syscalls::pidfd_send_signal, {.times = 2, .error = EPERM});
      EXPECT_EQ(ErrnoOf(child->Kill()), EPERM);
      child.reset();
    };
    (*Runtime::Create())->Run([&]() -> Task<void> {
      child = co_await StartShell("exec sleep 1000");
      id = child->id();
      if (on_thread) let_go();
    }());
    if (!on_thread) let_go();
    EXPECT_EQ(::kill(id, SIGKILL), 0);
    EXPECT_EQ(::waitpid(id, nullptr, 0), id);
  }
}

TEST(ProcessEndTest, AChildThatMayNotBeKilledIsReapedWhenItEnds) {
  (*Runtime::Create())->Run([]() -> Task<void> {
    for (const bool process_group : {false, true}) {
      std::optional<Process> child = co_await StartShell("exec sleep 1000", {.process_group = process_group});
      const pid_t id = child->id();
      {
        // Of a group others may be killed, and that is enough for the group.
        const ScopedSyscallFault fault(&Syscalls::pidfd_send_signal, {.error = EPERM});
        child.reset();
      }
      ::kill(id, SIGKILL);
      while (!IsGone(id)) co_await Yield();
    }
  }());
}

TEST(ProcessEndTest, WhatReapsAChildMakesNoFrame) {
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    std::optional<Process> child = co_await StartShell("exec sleep 1000");
    const pid_t id = child->id();
    const internal::ScopedFrameFault counted({.times = 0});
    child.reset();
    while (!IsGone(id)) co_await Yield();
    EXPECT_EQ(counted.allocations(), 0);
  }());
}

// Whoever ignores SIGCHLD, or waits for any child, may have reaped it.
TEST(ProcessEndTest, AChildThatIsReapedAtOnceIsAnErrorOfStart) {
  (*Runtime::Create())->Run([]() -> Task<void> {
    const ScopedSyscallFault fault(&Syscalls::pidfd_open, {.error = ESRCH});
    EXPECT_EQ(ErrnoOf((co_await Process::Start({"true"})).status()), ECHILD);
  }());
  ::waitpid(-1, nullptr, 0);
}

#if WEFT_EXCEPTIONS

thread_local int allocations_left = -1;

TEST(ProcessEndTest, WithoutMemoryThereIsNoChildLeft) {
  may_allocate = [](size_t, bool) noexcept { return allocations_left < 0 || allocations_left-- > 0; };
  (*Runtime::Create({.parallelism = 1}))->Run([]() -> Task<void> {
    int failures = 0;
    for (int left = 0;; ++left) {
      absl::StatusOr<Process> child = absl::UnknownError("");
      try {
        Task<absl::StatusOr<Process>> start = Process::Start({"sleep", "1000"});
        allocations_left = left;
        child = co_await std::move(start);
      } catch (const std::bad_alloc&) {
      }
      allocations_left = -1;
      if (child.ok()) break;
      ++failures;
      EXPECT_TRUE(IsGone(-1)) << left;
    }
    EXPECT_GE(failures, 2);  // what is shared, and the thread that reaps; frames are there already
  }());
}

#endif

TEST(ProcessEndTest, AProcessMayGoWhenItsRuntimeHas) {
  std::optional<Process> child;
  (*Runtime::Create())->Run([&]() -> Task<void> { child = co_await StartShell("exec sleep 1000"); }());
  const pid_t id = child->id();
  child.reset();
  EXPECT_TRUE(IsGone(id));
}

thread_local bool counts_allocations = false;
std::atomic<int> allocations = 0;
bool CountAllocation(size_t, bool) noexcept {
  if (counts_allocations) ++allocations;
  return true;
}

TEST(ProcessEndTest, TheEndOfAProcessAllocatesNothing) {
  may_allocate = &CountAllocation;
  (*Runtime::Create())->Run([]() -> Task<void> {
    std::optional<Process> child = co_await StartShell("exec sleep 1000");
    counts_allocations = true;
    child.reset();
    counts_allocations = false;
  }());
  EXPECT_EQ(allocations, 0);
  EXPECT_TRUE(IsGone(-1));
}

TEST(ProcessDeathTest, AStreamThatIsNoPipeIsRefused) {
  EXPECT_DEATH(weft::Run([]() -> Task<void> {
                 Process child = co_await StartShell("exit 0");
                 child.standard_output();
               }()),
               "standard output is no pipe");
}

}  // namespace
}  // namespace weft::testing
