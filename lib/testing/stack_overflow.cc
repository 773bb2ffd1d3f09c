#include "lib/testing/stack_overflow.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "lib/testing/fiber.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

// Enough for a sanitizer's handler to print a stack. Pages that are not used are never allocated.
constexpr size_t kAlternateStackBytes = size_t{256} * 1024;

struct sigaction previous;

// A line of text that is built without allocation.
class Line {
 public:
  void Add(const char* text) noexcept {
    while (*text != '\0' && used_ < sizeof(text_)) text_[used_++] = *text++;
  }
  void Add(size_t number) noexcept {
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
    } while ((number /= 10) != 0);
    Add(digits + at);
  }
  void Write() const noexcept { [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text_, used_); }

 private:
  char text_[256];
  size_t used_ = 0;
};

// Async-signal-safe itself; of the handler that was there before, it is not known.
void OnFault(int signal, siginfo_t* info, void* context) noexcept {
  const int saved_errno = errno;
  if (const Fiber* fiber = Fiber::Current(); fiber != nullptr && fiber->IsBelowStack(info->si_addr)) {
    Line line;
    line.Add("weft: the stack of ");
    line.Add(fiber->name());
    line.Add(" is used up, all ");
    line.Add(fiber->stack_bytes() / 1024);
    line.Add(" KiB: a recursion that is too deep, or a local that is too large\n");
    line.Write();
  }
  errno = saved_errno;
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  // The instruction is tried again, and ends the process.
  ::sigaction(signal, &previous, nullptr);
}

class AlternateStack {
 public:
  AlternateStack() noexcept {
    stack_t current = {};
    ::sigaltstack(nullptr, &current);
    if ((current.ss_flags & SS_DISABLE) == 0) return;  // a sanitizer's, say, or the program's own
    memory_ = ::mmap(nullptr, kAlternateStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    WEFT_CHECK(memory_ != MAP_FAILED) << "no memory for an alternate signal stack, errno " << errno;
    const stack_t ours = {.ss_sp = memory_, .ss_flags = 0, .ss_size = kAlternateStackBytes};
    const int error = ::sigaltstack(&ours, nullptr);
    WEFT_CHECK(error == 0) << "sigaltstack failed with errno " << errno;
  }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;
  ~AlternateStack() {
    if (memory_ == nullptr) return;
    stack_t current = {};
    ::sigaltstack(nullptr, &current);
    if (current.ss_sp == memory_) {
      const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
      ::sigaltstack(&none, nullptr);
    }
    ::munmap(memory_, kAlternateStackBytes);
  }

 private:
  void* memory_ = nullptr;
};

void InstallHandler() noexcept {
  struct sigaction ours = {};
  ours.sa_sigaction = &OnFault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  // First learns the earlier handler, which may be needed as soon as ours is installed.
  int error = ::sigaction(SIGSEGV, nullptr, &previous);
  if (error == 0) error = ::sigaction(SIGSEGV, &ours, nullptr);
  WEFT_CHECK(error == 0) << "sigaction(SIGSEGV) failed with errno " << errno;
}

}  // namespace

void WatchForStackOverflow() noexcept {
  thread_local AlternateStack alternate;
  [[maybe_unused]] static const bool installed = [] {
    InstallHandler();
    return true;
  }();
}

}  // namespace weft::internal
