#include "lib/runtime/memory_return.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lib/coro/frame_cache.h"
#include "lib/runtime/runtime_core.h"

namespace weft::internal {

bool MemoryReturn::Step() noexcept {
  const int64_t held = FrameCacheBytes();
  const int64_t live = LiveCachedFrameBytes();
  const int64_t free = held - live;
  const int64_t long_free = std::min(free, std::exchange(free_before_, free));
  const bool as_when_given_up = held == given_up_at_ && live > live_given_up_at_ - kFrameSlabBytes;
  if (long_free <= kKeptFrameBytes || as_when_given_up) {
    tries_ = 0;
    return long_free < free;
  }
  if (ReturnFreeFrames(kKeptFrameBytes + free - long_free) > 0) {
    tries_ = 0;
  } else if (++tries_ >= kTries) {
    given_up_at_ = held;
    live_given_up_at_ = live;
    return long_free < free;
  }
  runtime_.calms.fetch_add(1, std::memory_order_relaxed);
  for (uint32_t i = 0; i < runtime_.carrier_count(); ++i) runtime_.host->Ring(runtime_.carrier(i));
  return true;
}

}  // namespace weft::internal
