#include "weft/ready.h"

#include <mutex>

#include "lib/cancel/boundary.h"
#include "lib/cancel/cancel_request.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/boundary.h"
#include "weft/internal/child.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// The service's identity has room for the reason, if it is to be asked to end. Then nothing can be allocated. If the
// start has ended, `service` may stand for a child that found no memory.
StartGuard::StartGuard(StartState& start, ChildBase& service) noexcept : start_(start), service_(service) {
  std::lock_guard guard(start.lock);
  if (!start.ended) service.TryIdentity();
}

// By the thread that is unwound. A service that has not called ServiceCall::AfterEnd() stays while the lock is held.
void StartGuard::GiveUp() noexcept {
  ThreadBlock& self = RequireThread("the end of Start()");
  {
    std::lock_guard guard(start_.lock);
    if (start_.ended) return;
    RequestEnd(service_, Asker::kAlone, WhyCancelled(self));
  }
  RunShutdowns(self.runtime());
}

}  // namespace weft::internal
