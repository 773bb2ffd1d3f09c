#include "tests/stress/peer_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace weft::testing {
namespace {

constexpr int kGo = 3;
constexpr int kDone = 4;

[[noreturn]] void RunPeer(const std::function<void()>& run, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(EXIT_FAILURE);
  char byte;
  while (::read(kGo, &byte, 1) == 1) {
    run();
    if (::write(kDone, &byte, 1) != 1) Require(-1, "write");
  }
  ::_exit(EXIT_FAILURE);
}

}  // namespace

int Require(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  ::_exit(EXIT_FAILURE);
}

PeerProcess::PeerProcess(const std::function<void()>& run) {
  int go[2];
  int done[2];
  Require(::pipe2(go, O_CLOEXEC), "pipe2");
  Require(::pipe2(done, O_CLOEXEC), "pipe2");
  const pid_t parent = ::getpid();
  process_ = Require(::fork(), "fork");
  if (process_ == 0) {
    // What belongs to the parent: its listener would outlive it here, and its end of a pipe would hide its end.
    const int go_end = Require(::fcntl(go[0], F_DUPFD, kDone + 1), "fcntl");  // neither is in the other's way
    const int done_end = Require(::fcntl(done[1], F_DUPFD, kDone + 1), "fcntl");
    Require(::dup2(go_end, kGo), "dup2");
    Require(::dup2(done_end, kDone), "dup2");
    Require(::close_range(kDone + 1, ~0U, 0), "close_range");
    RunPeer(run, parent);
  }
  ::close(go[0]);
  ::close(done[1]);
  go_ = go[1];
  done_ = done[0];
}

PeerProcess::~PeerProcess() {
  ::close(go_);  // ends it, too, if it waits: this process may have given up the right to kill
  ::kill(process_, SIGKILL);
  int status;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(done_);
}

void PeerProcess::Go() {
  if (::write(go_, "g", 1) != 1) Require(-1, "write");
}

bool PeerProcess::Await() {
  char byte;
  ssize_t got;
  while ((got = ::read(done_, &byte, 1)) < 0 && errno == EINTR) {
  }
  return got == 1;
}

}  // namespace weft::testing
