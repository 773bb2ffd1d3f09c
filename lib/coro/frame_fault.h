// The seam for tests of what becomes of an allocation that fails. (frame_cache.cc)
#ifndef WEFT_LIB_CORO_FRAME_FAULT_H_
#define WEFT_LIB_CORO_FRAME_FAULT_H_

#include <cstdint>
#include <limits>

namespace weft::internal {

// While it lives, allocations fail: of all OS threads, or of the one that made it. For tests; one at a time. To try
// every allocation of a scenario: run it once with `times = 0`, read `allocations()`, then run it once for each.
class ScopedFrameFault {
 public:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  struct Options {
    int64_t first = 1;  // the first allocation that fails; they count from 1
    int64_t times = 1;  // how many fail in a row; kForever for all from the first on, 0 to count only
    bool here = false;      // counts, and fails, those of the calling OS thread only: other carriers go on
  };

  explicit ScopedFrameFault(Options options);
  ScopedFrameFault(const ScopedFrameFault&) = delete;
  ScopedFrameFault& operator=(const ScopedFrameFault&) = delete;
  ~ScopedFrameFault();

  // The allocations since this object was made, failed ones included.
  int64_t allocations() const noexcept;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_CORO_FRAME_FAULT_H_
