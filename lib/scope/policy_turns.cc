#include "weft/internal/policy_turns.h"

#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

void PolicyTurns::CheckOutside(const char* what) const {
  const void* const carrier = CurrentCarrier();
  WEFT_CHECK(carrier == nullptr || caller_.load(std::memory_order_relaxed) != carrier)
      << what << " by " << DescribeCaller() << " during " << hook_ << " of the scope's policy; neither a policy's "
      << "hook nor a destructor of what it lets go of may fork into its scope, or wait";
}

void PolicyTurns::Enter(const char* hook) {
  CheckOutside(hook);
  lock_.lock();
  caller_.store(CurrentCarrier(), std::memory_order_relaxed);
  hook_ = hook;
}

void PolicyTurns::Leave() noexcept {
  caller_.store(nullptr, std::memory_order_relaxed);
  lock_.unlock();
}

}  // namespace weft::internal
