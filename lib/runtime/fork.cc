#include "lib/runtime/fork.h"

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

// The fast paths of a carrier test for an observer anyway, so an observer that refuses costs them nothing.
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

void InForkedChild() noexcept {
  RuntimeCore::SetAsideInherited();
  Carrier* const carrier = Carrier::Current();
  if (carrier != nullptr && carrier->runtime.inherited()) carrier->observed.Replace(refusal);
}

}  // namespace

void RegisterForkHandler() noexcept {
  // Without a lock, because a fork would wait for it. To register twice does no harm.
  if (registered.load(std::memory_order_relaxed)) return;
  const int error = ::pthread_atfork(nullptr, nullptr, &InForkedChild);
  WEFT_CHECK(error == 0) << "pthread_atfork failed with errno " << error;
  registered.store(true, std::memory_order_relaxed);
}

}  // namespace weft::internal
