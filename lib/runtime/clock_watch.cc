#include "lib/runtime/clock_watch.h"

#include <cstdint>

#include "lib/runtime/runtime_core.h"

namespace weft::internal {

void WallClockWatch::ClockWasSet() noexcept {
  const uint32_t count = runtime_.carrier_count();
  for (uint32_t i = 0; i < count; ++i) {
    Carrier& carrier = runtime_.carrier(i);
    carrier.duties.wall_timers.ClockWasSet();
    runtime_.host->Ring(carrier);
  }
}

}  // namespace weft::internal
