#include "lib/io/sigpipe.h"

#include <signal.h>

#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

// Has IgnoreSigpipe() been called? relaxed: whoever reads it has called sigaction(2) after the writer has, and the
// kernel's lock orders the two.
constinit Atomic<bool> is_wanted{false};
// Was the signal ignored once? relaxed: a hint; the action is the kernel's.
constinit Atomic<bool> is_ignored{false};

bool IsDefault(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}
bool Ignores(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
}

struct sigaction ToIgnore() noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  return action;
}

}  // namespace

void IgnoreSigpipe() noexcept {
  if (is_ignored.load(std::memory_order_relaxed)) return;
  is_wanted.store(true, std::memory_order_relaxed);
  struct sigaction action;
  if (::sigaction(SIGPIPE, nullptr, &action) != 0) return;
  if (IsDefault(action)) {
    action = ToIgnore();
    if (::sigaction(SIGPIPE, &action, nullptr) != 0) return;
  }
  // A handler may be taken away again: look once more next time.
  if (Ignores(action)) is_ignored.store(true, std::memory_order_relaxed);
}

void PutBackSigpipe(const struct sigaction& before) noexcept {
  const bool ignores = is_wanted.load(std::memory_order_relaxed) && IsDefault(before);
  const struct sigaction action = ignores ? ToIgnore() : before;
  ::sigaction(SIGPIPE, &action, nullptr);
  // Between the two somebody may have wanted it, and found a handler.
  if (is_wanted.load(std::memory_order_relaxed)) IgnoreSigpipe();
}

}  // namespace weft::internal
