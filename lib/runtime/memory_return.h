// Layer runtime. When does the memory of frames go back to the system?
//
// When it has been free for a while. The watchdog calls Step() about once a second. Each step looks how much of the
// frame caches is free, and how much was a step ago; the smaller of the two, except for kKeptFrameBytes, goes back, as
// far as whole slabs are free (lib/coro/frame_cache.h). So a burst that comes again within a second finds its memory,
// one that is just ending is not walked through, and a service that was busy once gives memory back after some seconds.
//
// What lies in the lists of carriers is asked for as well: each puts it into the pool when it next wakes from a sleep
// (Carrier::ParkUntil), and they are rung for that. The memory of their deques goes back at the same time. What then
// still lies in slabs that are partly alive stays: after some steps in vain there is no further one until the caches
// hold another amount, or a slab's worth less of it is alive.
//
// Who may call: the watchdog, or a test in its place. Steps of several runtimes are for the same memory, and harmless.
#ifndef WEFT_LIB_RUNTIME_MEMORY_RETURN_H_
#define WEFT_LIB_RUNTIME_MEMORY_RETURN_H_

#include <cstdint>

namespace weft::internal {

class RuntimeCore;

class MemoryReturn {
 public:
  explicit MemoryReturn(RuntimeCore& runtime) noexcept : runtime_(runtime) {}

  // True: a further step may return more, also if nothing runs until then.
  bool Step() noexcept;

 private:
  static constexpr int kTries = 3;

  RuntimeCore& runtime_;
  int64_t free_before_ = 0;       // bytes, a step ago
  int tries_ = 0;                 // steps in vain
  int64_t given_up_at_ = 0;       // bytes that the caches held then
  int64_t live_given_up_at_ = 0;  // bytes of these that were alive then
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_MEMORY_RETURN_H_
