// Layer os. Who waits on behalf of what stands for an OS thread?
//
// In a simulation functions of Blocking() take turns on one OS thread with the carriers. One that waited for a word by
// FutexWait() would stop those that change it. It has a StandIn instead, which lets the others run meanwhile.
#ifndef WEFT_LIB_OS_STAND_IN_H_
#define WEFT_LIB_OS_STAND_IN_H_

#include <cstdint>

#include "lib/os/futex.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

class StandIn {
 public:
  // Like FutexWait(), except for the clock: `deadline_ns` is on that of the simulation.
  virtual FutexOutcome Await(const Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept = 0;

  uintptr_t lock_key = 0;  // OsThreadKey(), as soon as it holds a lock

 protected:
  ~StandIn() = default;
};

// Of what runs on this OS thread. Null: of nobody, which is to say that the OS thread acts for itself.
StandIn* CurrentStandIn() noexcept;
// Sets it, and returns what it was.
StandIn* ExchangeStandIn(StandIn* stand_in) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_STAND_IN_H_
