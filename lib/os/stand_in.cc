#include "lib/os/stand_in.h"

#include <cstdint>
#include <utility>

#include "lib/os/futex.h"
#include "weft/internal/atomic.h"

namespace weft::internal {
namespace {

constinit thread_local StandIn* stand_in_here = nullptr;

}  // namespace

StandIn* CurrentStandIn() noexcept { return stand_in_here; }

StandIn* ExchangeStandIn(StandIn* stand_in) noexcept { return std::exchange(stand_in_here, stand_in); }

FutexOutcome AwaitWord(Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept {
  if (StandIn* const stand_in = CurrentStandIn()) return stand_in->Await(word, expected, deadline_ns);
  return FutexWait(word, expected, deadline_ns);
}

}  // namespace weft::internal
