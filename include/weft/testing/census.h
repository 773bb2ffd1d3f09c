// Census: counts everything of Weft's that is alive. A test that begins and ends with equal censuses has leaked
// nothing.
//
//   const auto before = weft::testing::Census::Take();
//   ...
//   EXPECT_EQ(weft::testing::Census::Take(), before);
//
// A census is exact when nothing runs. Outside of virtual threads, Take() first waits until everything that Run()
// started is gone.
#ifndef WEFT_TESTING_CENSUS_H_
#define WEFT_TESTING_CENSUS_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <ostream>


namespace weft::testing {

struct Census {
  int64_t runtimes = 0;
  int64_t virtual_threads = 0;  // started, not ended
  int64_t frames = 0;           // coroutine frames and control blocks
  int64_t frame_bytes = 0;
  int64_t waiters = 0;          // parked virtual threads
  int64_t timers = 0;           // armed
  int64_t operations = 0;       // in flight
  int64_t descriptors = 0;      // open files of the process, and of the machine of the OS thread (machine.h)

  static Census Take();

  friend bool operator==(const Census&, const Census&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Census& census);
};

}  // namespace weft::testing

#endif  // WEFT_TESTING_CENSUS_H_
