#include "weft/ready.h"

#include <mutex>

#include "weft/internal/boundary.h"
#include "weft/internal/cancel_request.h"
#include "weft/internal/child.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// By the thread that is unwound. A service that has not called ServiceCall::AfterEnd() stays while the lock is held.
void StartGuard::GiveUp() noexcept {
  ThreadBlock& self = RequireThread("the end of Start()");
  {
    std::lock_guard guard(start_.lock);
    if (start_.ended) return;
    RequestCancel(service_, service_.root, WhyCancelled(self));
  }
  RunShutdowns(*self.runtime);
}

}  // namespace weft::internal
