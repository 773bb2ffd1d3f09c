#include "lib/runtime/observation.h"

#include <cstdint>
#include <string_view>

#include "lib/runtime/runtime_core.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

Observation::Observation(RuntimeCore& runtime, uint32_t carrier_index) noexcept
    : runtime_(runtime), index_(static_cast<int>(carrier_index)), observer_(runtime.config.observer) {}

void Observation::Start(const ThreadBlock& thread) noexcept {
  observer_->OnStart({thread.id, thread.DisplayName(), index_, runtime_.Now()});
}

void Observation::Start(const BranchSeed& seed) noexcept {
  observer_->OnStart({seed.id, std::string_view(), index_, runtime_.Now()});
}

void Observation::Mount(const ThreadBlock& thread) noexcept {
  waits_at = {};
  observer_->OnMount({thread.id, thread.DisplayName(), index_, runtime_.Now()});
}

void Observation::Unmount(const ThreadBlock& thread) noexcept {
  const WaitKind* const wait = thread.wait.load(std::memory_order_relaxed);
  observer_->OnUnmount({thread.id, thread.DisplayName(), index_, runtime_.Now(),
                        wait == nullptr ? std::string_view() : ParkReasonName(wait->reason), waits_at});
}

void Observation::End(const ThreadBlock& thread) noexcept {
  observer_->OnEnd({thread.id, thread.DisplayName(), index_, runtime_.Now()});
}

}  // namespace weft::internal
