// What becomes of a process that fork(2) makes of this one, as it stands, with whatever runs in it.
//
//   const ChildEnd end = InChild([] { std::exit(3); });
//   EXPECT_TRUE(end.Exited(3)) << end;
//
// Unlike a death test of GoogleTest it may be called on a virtual thread and while other OS threads run; that is what
// it is for. A child that hangs makes the test run into its time limit, and then ends with it.
#ifndef WEFT_TESTS_SUPPORT_CHILD_PROCESS_H_
#define WEFT_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string>

namespace weft::testing {

inline bool in_child = false;

// A child that calls exit() goes through all handlers but those that were registered before main(): a checker of leaks
// would not find what is referred to by stacks of which the child has no thread.
inline const int skips_older_exit_handlers = ::on_exit(
    [](int status, void*) {
      if (in_child) ::_exit(status);
    },
    nullptr);

struct ChildEnd {
  int status = 0;      // of waitpid()
  std::string errors;  // what it wrote to standard error

  bool Exited(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
  // By a failed CHECK that says `sentence`.
  bool Refused(const std::string& sentence) const {
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && errors.find(sentence) != std::string::npos;
  }

  friend std::ostream& operator<<(std::ostream& out, const ChildEnd& end) {
    if (WIFSIGNALED(end.status)) return out << "signal " << WTERMSIG(end.status) << ": " << end.errors;
    return out << "exit code " << WEXITSTATUS(end.status) << ": " << end.errors;
  }
};

// A child that has just been made.
class Child {
 public:
  // Returns twice, as fork(2) does.
  Child() {
    int errors[2];
    if (::pipe(errors) != 0) return;
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      in_child = true;
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(125);
      ::dup2(errors[1], STDERR_FILENO);
      ::close(errors[0]);
    }
    ::close(errors[1]);
    errors_ = errors[0];
  }

  // Are we in it?
  explicit operator bool() const { return pid_ == 0; }

  // In the parent: waits for its end.
  ChildEnd Wait() const {
    ChildEnd end;
    char buffer[4096];
    for (ssize_t got; (got = ::read(errors_, buffer, sizeof(buffer))) != 0;) {
      if (got > 0) end.errors.append(buffer, static_cast<size_t>(got));
      if (got < 0 && errno != EINTR) break;
    }
    ::close(errors_);
    while (::waitpid(pid_, &end.status, 0) < 0 && errno == EINTR) {
    }
    return end;
  }

 private:
  pid_t pid_ = -1;
  int errors_ = -1;
};

// Calls body() in a child, which ends with _exit(0) if that returns.
template <class Body>
ChildEnd InChild(Body body) {
  const Child child;
  if (!child) return child.Wait();
  body();
  ::_exit(0);
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_CHILD_PROCESS_H_
