#include "lib/io/sigpipe.h"

#include <signal.h>

namespace weft::internal {

void IgnoreSigpipe() noexcept {
  static const bool looked = [] {
    struct sigaction action;
    if (::sigaction(SIGPIPE, nullptr, &action) != 0) return false;
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return true;
    action = {};
    action.sa_handler = SIG_IGN;
    return ::sigaction(SIGPIPE, &action, nullptr) == 0;
  }();
  static_cast<void>(looked);
}

}  // namespace weft::internal
