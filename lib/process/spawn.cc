#include "lib/process/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "lib/os/syscalls.h"
#include "weft/io/unique_descriptor.h"
#include "weft/process.h"

namespace weft::internal {
namespace {

using io::UniqueDescriptor;

constexpr int kStandardStreams = 3;

// Above those that the child is given, which are below `first_free`: what is moved onto one of them must not be another
// one.
absl::Status OpenedAbove(int fd, int first_free, UniqueDescriptor& out, const char* what) {
  out = UniqueDescriptor(Sys().fcntl(fd, F_DUPFD_CLOEXEC, first_free));
  return ErrnoToStatus(out.get() < 0 ? errno : 0, what);
}

// Is it the side of a terminal that programs have? The other side, the master, opened anew would be another terminal.
bool IsTerminal(int fd) noexcept {
  int number;
  return ::isatty(fd) == 1 && ::ioctl(fd, TIOCGPTN, &number) != 0;
}

// Programs expect streams in blocking mode, and the mode belongs to what all duplicates share. So a pipe or a terminal
// in non-blocking mode is opened anew, into `opened`. Otherwise that stays as it is: the stream is in blocking mode, or
// cannot be opened (a socket), or would be another object (a device), or is a file, whose mode nobody minds, and of
// which the child is to have the position, too.
absl::Status OpenBlocking(int fd, UniqueDescriptor& opened) {
  const int flags = Sys().fcntl(fd, F_GETFL, 0);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) return absl::OkStatus();
  struct stat status;
  const bool is_pipe = Sys().fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
  if (!is_pipe && !IsTerminal(fd)) return absl::OkStatus();
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  // O_NONBLOCK: a FIFO whose other end nobody has would wait for it. O_NOCTTY: the terminal is the child's stream, and
  // not to be ours.
  const int anew = (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  UniqueDescriptor stream(Sys().openat(AT_FDCWD, path.c_str(), anew, 0));
  if (stream.get() >= 0 && Sys().fcntl(stream.get(), F_SETFL, flags & ~O_NONBLOCK) == 0) {
    opened = std::move(stream);
    return absl::OkStatus();
  }
  // A terminal may be another user's (su), and programs that use one know it in either mode.
  return is_pipe ? ErrnoToStatus(errno, "opening a child's pipe in blocking mode") : absl::OkStatus();
}

// One of the child's streams, while the child is made.
struct ChildStream {
  UniqueDescriptor for_child;   // not open: inherited
  UniqueDescriptor for_parent;  // of a pipe
};

enum class Way { kChildReads, kChildWrites };

absl::Status PrepareDescriptor(int fd, int first_free, UniqueDescriptor& for_child) {
  UniqueDescriptor blocking;
  if (absl::Status opened = OpenBlocking(fd, blocking); !opened.ok()) return opened;
  return OpenedAbove(blocking.get() >= 0 ? blocking.get() : fd, first_free, for_child, "a descriptor for a child");
}

absl::Status Prepare(const Process::Redirect& redirect, Way way, int first_free, ChildStream& stream) {
  switch (redirect.kind()) {
    case Process::Redirect::kInherit:
      return absl::OkStatus();
    case Process::Redirect::kNull: {
      const UniqueDescriptor opened(Sys().openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0));
      if (opened.get() < 0) return ErrnoToStatus(errno, "/dev/null");
      return OpenedAbove(opened.get(), first_free, stream.for_child, "/dev/null");
    }
    case Process::Redirect::kDescriptor:
      return PrepareDescriptor(redirect.fd(), first_free, stream.for_child);
    case Process::Redirect::kPipe:
      break;
  }
  int fds[2];
  if (Sys().pipe2(fds, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "a pipe for a child");
  UniqueDescriptor reader(fds[0]);
  UniqueDescriptor writer(fds[1]);
  stream.for_parent = std::move(way == Way::kChildReads ? writer : reader);
  return OpenedAbove(way == Way::kChildReads ? reader.get() : writer.get(), first_free, stream.for_child,
                     "a pipe for a child");
}

// ---- What posix_spawn() is given.

class Actions {
 public:
  Actions() noexcept { ::posix_spawn_file_actions_init(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }

  // Each returns an errno.
  int Redirect(const UniqueDescriptor& from, int to) noexcept {
    return from.get() < 0 ? 0 : ::posix_spawn_file_actions_adddup2(&actions_, from.get(), to);
  }
  int ChangeDirectory(const std::string& directory) noexcept {
    return directory.empty() ? 0 : ::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
  }
  int CloseFrom(int first) noexcept { return ::posix_spawn_file_actions_addclosefrom_np(&actions_, first); }

  const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

class Attributes {
 public:
  explicit Attributes(bool process_group) noexcept {
    ::posix_spawnattr_init(&attributes_);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    const int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (process_group ? POSIX_SPAWN_SETPGROUP : 0);
    ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }

  const posix_spawnattr_t* get() const noexcept { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

std::string_view NameOf(std::string_view variable) noexcept { return variable.substr(0, variable.find('=')); }

std::vector<std::string> EnvironmentFor(const Process::Options& options) {
  std::vector<std::string> variables;
  for (char** variable = ::environ; options.inherit_environment && variable != nullptr && *variable != nullptr;
       ++variable) {
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(), [&](const auto& added) {
      return NameOf(added) == NameOf(*variable);
    });
    if (!replaced) variables.emplace_back(*variable);
  }
  variables.insert(variables.end(), options.environment.begin(), options.environment.end());
  return variables;
}

// As execve(2) takes them. `texts` must stay.
std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

bool HasZero(const std::string& text) noexcept { return text.find('\0') != std::string::npos; }

// Nobody else knows the child yet.
void KillAndReap(pid_t id) noexcept {
  ::kill(id, SIGKILL);
  while (::waitpid(id, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

absl::StatusOr<Spawned> Spawn(const std::vector<std::string>& arguments, const Process::Options& options) {
  if (arguments.empty()) return absl::InvalidArgumentError("Process::Start() without the name of a program");
  const std::string what = absl::StrCat("starting ", arguments.front());
  const auto& added = options.environment;
  if (std::any_of(arguments.begin(), arguments.end(), HasZero) || std::any_of(added.begin(), added.end(), HasZero) ||
      HasZero(options.working_directory)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": a zero byte in an argument, a variable or a directory"));
  }

  ChildStream streams[kStandardStreams];
  std::vector<UniqueDescriptor> others(options.descriptors.size());
  const int first_free = kStandardStreams + static_cast<int>(others.size());
  absl::Status prepared = Prepare(options.standard_input, Way::kChildReads, first_free, streams[0]);
  if (prepared.ok()) prepared = Prepare(options.standard_output, Way::kChildWrites, first_free, streams[1]);
  if (prepared.ok()) prepared = Prepare(options.standard_error, Way::kChildWrites, first_free, streams[2]);
  for (size_t i = 0; i < others.size() && prepared.ok(); ++i) {
    prepared = PrepareDescriptor(options.descriptors[i], first_free, others[i]);
  }
  if (!prepared.ok()) return prepared;

  Actions actions;
  int error = actions.ChangeDirectory(options.working_directory);
  for (int i = 0; i < first_free && error == 0; ++i) {
    const int other = i - kStandardStreams;
    error = actions.Redirect(other < 0 ? streams[i].for_child : others[static_cast<size_t>(other)], i);
  }
  if (error == 0) error = actions.CloseFrom(first_free);
  if (error != 0) return ErrnoToStatus(error, what);

  const std::vector<std::string> environment = EnvironmentFor(options);
  const Attributes attributes(options.process_group);
  Spawned spawned;
  error = Sys().posix_spawnp(&spawned.id, arguments.front().c_str(), actions.get(), attributes.get(),
                             Pointers(arguments).data(), Pointers(environment).data());
  if (error != 0) return ErrnoToStatus(error, what);
  // The number is the child's until somebody reaps it.
  spawned.pidfd = UniqueDescriptor(Sys().pidfd_open(spawned.id, 0));
  if (spawned.pidfd.get() < 0) {
    error = errno;
    // It has ended, and was reaped: the program ignores SIGCHLD, or waits for whoever ends. The number is free.
    if (error == ESRCH) return ErrnoToStatus(ECHILD, what);
    KillAndReap(spawned.id);
    return ErrnoToStatus(error, absl::StrCat(what, ": pidfd_open"));
  }
  spawned.input = std::move(streams[0].for_parent);
  spawned.output = std::move(streams[1].for_parent);
  spawned.error = std::move(streams[2].for_parent);
  return spawned;
}

}  // namespace weft::internal
