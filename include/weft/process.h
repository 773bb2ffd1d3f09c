// Process: starts another program, and waits for it.
//
//   absl::StatusOr<Process> git = co_await Process::Start({"git", "log"}, {.standard_output = Process::kPipe});
//   if (!git.ok()) co_return git.status();
//   io::BufferedReader lines(git->standard_output());
//   ...
//   absl::StatusOr<Process::Exit> exit = co_await git->Wait();
//
//   absl::StatusOr<Process::Output> head = co_await Process::Run({"git", "rev-parse", "HEAD"});   // all of that in one
//
// A child never outlives its Process: the destructor kills it (SIGKILL) if it still runs, and sees that it is reaped,
// so that no zombie is left; a virtual thread of the runtime waits for that, and the destructor does not, except while
// the runtime ends. So a child ends with the scope or the frame that has its Process, cancelled or not. Stop() asks it
// first. What the child has started itself ends with the Process only if Options::process_group says so. One exception:
// a child that may not be killed, because it runs as another user (sudo(8)). Signals to it are kPermissionDenied
// (EPERM); the destructor leaves it running and waits for nothing, and it is reaped if it ends before the runtime does.
// A child of fork(2) may destroy a Process that it inherited: what that has started is the parent's, and goes on.
//
// The child has the descriptors that Options say, and none of the program's others, whether these are close-on-exec or
// not. It has the default action for every signal, and none is blocked.
//
// Who may call. Any virtual thread; several may Wait() at once. Kill() may be called by OS threads as well.
//
// Errors are absl::Status with the errno. A program that does not exist is kNotFound (ENOENT) of Start(); one that may
// not be executed kPermissionDenied (EACCES). A child that another part of the program has reaped, by wait(2) for any
// child or because SIGCHLD is ignored, is kFailedPrecondition (ECHILD) of Wait(), or of Start() if it ended at once.
//
// Cancellation: Start(), Wait(), Stop() and Run() are checkpoints. A cancelled Wait() leaves the child running; a
// cancelled Start() or Run() kills it.
//
// Cost: Start() makes its calls on an OS thread that may block (weft/blocking.h): the system suspends the caller until
// the new program is there, 0.5 to 2 ms. Each Process has one descriptor (of pidfd_open(2), for waitid(2): Linux
// 5.4), and one for each pipe. (Java's Process and ProcessBuilder; Go's os/exec.)
#ifndef WEFT_PROCESS_H_
#define WEFT_PROCESS_H_

#include "weft/internal/compiler.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/io/pipe.h"
#include "weft/task.h"
#include "weft/time_span.h"
#include "weft/virtual_thread.h"

namespace weft {

namespace internal {
class ChildProcess;
}  // namespace internal

// (lib/process/process.cc)
class Process {
 public:
  // What one of the child's standard streams is.
  class Redirect {
   public:
    enum Kind : uint8_t { kInherit, kNull, kPipe, kDescriptor };

    constexpr Redirect(Kind kind) noexcept : kind_(kind) {}
    // `fd` stays the caller's, and must be open until Start() has ended. It may be an end of a pipe of Weft's: the
    // child gets it in blocking mode, or Start() fails with the errno, as when nobody reads a FIFO that the child is to
    // write to (ENXIO). A socket keeps its mode.
    static constexpr Redirect To(int fd) noexcept { return Redirect(kDescriptor, fd); }

    Kind kind() const noexcept { return kind_; }
    int fd() const noexcept { return fd_; }

   private:
    constexpr Redirect(Kind kind, int fd) noexcept : kind_(kind), fd_(fd) {}

    Kind kind_;
    int fd_ = -1;
  };
  static constexpr Redirect::Kind kInherit = Redirect::kInherit;  // the program's own
  static constexpr Redirect::Kind kNull = Redirect::kNull;        // /dev/null
  static constexpr Redirect::Kind kPipe = Redirect::kPipe;        // a pipe, whose other end is in the Process

  struct Options {
    Redirect standard_input = kNull;
    Redirect standard_output = kInherit;
    Redirect standard_error = kInherit;
    // The child has these as 3, 4 and so on, each under the rules of Redirect::To(). One may be given twice. More
    // than there may be (RLIMIT_NOFILE) are kInvalidArgument (EINVAL). (Go's Cmd.ExtraFiles.)
    std::vector<int> descriptors = {};
    // Empty: the program's own. A relative name of the program is looked for from here, too.
    std::string working_directory = {};
    // "NAME=value": added to what is inherited, in place of a variable of the same name.
    std::vector<std::string> environment = {};
    bool inherit_environment = true;
    // The child leads a process group of its own, and signals go to all of the group: to what it has started, too, even
    // when it has ended. The destructor kills all of the group. Until then a child that has ended is a zombie, so that
    // nobody else gets the group's number. Whoever leaves the group (setsid(2)) is not found; nor is the rest of the
    // group if another part of the program reaps the child.
    bool process_group = false;
  };

  // How a child has ended.
  struct Exit {
    int code = 0;    // what it returned from main() or gave to exit(), 0 to 255, if it was not killed
    int signal = 0;  // the signal that killed it, or 0

    bool success() const noexcept { return code == 0 && signal == 0; }
    // "exit code 1", "killed by signal 9".
    friend std::ostream& operator<<(std::ostream& out, const Exit& exit);
    friend bool operator==(const Exit&, const Exit&) = default;
  };

  // `arguments[0]` names the program: a path, or a name that is looked for in PATH. No shell is involved.
  // kInvalidArgument without arguments, or with a zero byte in one.
  static Task<absl::StatusOr<Process>> Start(std::vector<std::string> arguments, Options options);
  static Task<absl::StatusOr<Process>> Start(std::vector<std::string> arguments);  // with the options' defaults

  struct RunOptions {
    std::string input = {};             // what the child reads
    size_t max_output = size_t{16} << 20;  // bytes, of each stream; more is kResourceExhausted, and kills the child
    std::string working_directory = {};
    std::vector<std::string> environment = {};
    bool inherit_environment = true;
    bool process_group = false;  // like Options: nothing of the group outlives Run()
    // What the child has started may keep its output open, and its input unread. So long does Run() wait for both, once
    // the child has ended. What the child itself wrote is there in any case. (Go's Cmd.WaitDelay.)
    TimeSpan wait_delay = absl::InfiniteDuration();
  };
  struct Output {
    Exit exit = {};
    std::string standard_output = {};
    std::string standard_error = {};
    bool complete = true;  // false: somebody still had the output after `wait_delay`
  };
  // Starts a program, gives it its input, and returns what it wrote and how it ended. An exit code other than 0 is not
  // an error of Run(). A child that ends without reading all of its input is no error either.
  static Task<absl::StatusOr<Output>> Run(std::vector<std::string> arguments, RunOptions options);
  static Task<absl::StatusOr<Output>> Run(std::vector<std::string> arguments);

  // Not while a thread waits for it.
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;  // kills and reaps what it had
  ~Process();

  // Waits for the end of the child. Any number of times. Its pipes may still have something to read.
  Task<absl::StatusOr<Exit>> Wait();

  // Sends a signal: once the child has ended, to nobody, or to the rest of its group, and that is no error. Any thread.
  absl::Status Kill(int signal);
  absl::Status Kill();  // SIGKILL
  // Sends SIGTERM, and after `grace` SIGKILL; waits for the end of the child, and not for the rest of its group.
  Task<absl::StatusOr<Exit>> Stop(TimeSpan grace);

  // Also after its end.
  pid_t id() const noexcept;

  // The other ends of pipes. CHECK that the stream is kPipe. Close the child's input so that it sees the end of it.
  io::PipeWriter& standard_input();
  io::PipeReader& standard_output();
  io::PipeReader& standard_error();

 private:
  friend class internal::ChildProcess;
  explicit Process(std::shared_ptr<internal::ChildProcess> child) noexcept : child_(std::move(child)) {}

  void End() noexcept;

  std::shared_ptr<internal::ChildProcess> child_;  // null: moved from
  std::optional<VirtualThread> reaper_;            // not started
  std::optional<io::PipeWriter> input_;
  std::optional<io::PipeReader> output_;
  std::optional<io::PipeReader> error_;
};

}  // namespace weft

#endif  // WEFT_PROCESS_H_
