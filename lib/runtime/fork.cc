// A child of fork(2). It has the memory of its parent and one of its threads, so a runtime that lives on OS threads is
// there and does not run. What is left to do is to say so, where otherwise somebody would wait for ever, or use a ring
// or an epoll descriptor that is the parent's as well. What is global, and so might be used by a runtime that is
// started in the child, is guarded by GlobalLocks (lib/os/global_lock.h).
#include <pthread.h>

#include <cstdint>

#include "lib/runtime/carrier.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/describe.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {
namespace {

// The fast paths of a carrier look for an observer in any case: one that refuses costs them nothing.
class Refusal final : public ext::SchedulingObserver {
 public:
  void OnStart(const ext::ThreadEvent&) noexcept override { Refuse(); }
  void OnMount(const ext::ThreadEvent&) noexcept override { Refuse(); }
  void OnUnmount(const ext::ThreadEvent&) noexcept override { Refuse(); }
  void OnEnd(const ext::ThreadEvent&) noexcept override { Refuse(); }
  void OnCheckpoint(uint64_t) noexcept override { Refuse(); }

 private:
  static void Refuse() noexcept {
    const Carrier* carrier = Carrier::Current();
    WEFT_CHECK(false)
        << (carrier != nullptr && carrier->current != nullptr ? ThreadLabel(*carrier->current) : "a virtual thread")
        << " goes on in a child of fork(), where its runtime has no carriers; there, it may call exec() or "
           "exit(), or start another runtime and wait for that";
  }
};
constinit Refusal refusal;

constinit Atomic<bool> registered{false};  // relaxed: whoever sees it, sees that it was done

}  // namespace

void RuntimeCore::RegisterForkHandler() noexcept {
  // Without a lock, which a fork would wait for: twice does no harm.
  if (registered.load(std::memory_order_relaxed)) return;
  const int error = ::pthread_atfork(nullptr, nullptr, &InForkedChild);
  WEFT_CHECK(error == 0) << "pthread_atfork failed with errno " << error;
  registered.store(true, std::memory_order_relaxed);
}

void RuntimeCore::InForkedChild() noexcept {
  SetAsideInherited();
  Carrier* const carrier = Carrier::Current();
  if (carrier != nullptr && carrier->runtime.inherited()) carrier->ReplaceObserver(refusal);
}

}  // namespace weft::internal
