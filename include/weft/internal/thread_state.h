// The state word of a virtual thread. Its steps, and what each is for, are in lib/thread/thread_state.h.
#ifndef WEFT_INTERNAL_THREAD_STATE_H_
#define WEFT_INTERNAL_THREAD_STATE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/atomic.h"

namespace weft::internal {

class ThreadState {
 public:
  enum class Phase : uint32_t { kActive, kNotified, kParked, kCancelling, kCancellingWoken, kEnded };

  struct Snapshot {
    uint32_t word = 0;
    inline bool attention() const noexcept;
    inline bool requested() const noexcept;
    inline bool watched() const noexcept;
    inline bool unregistered() const noexcept;
    inline bool hands_down() const noexcept;
    // It runs, its scope knows it, and nobody has asked it for anything since it was made.
    inline bool untouched() const noexcept;
    // It does not run, and will see what is written into the word before it does.
    inline bool asleep() const noexcept;
    inline Phase phase() const noexcept;
  };

  ThreadState() noexcept = default;
  enum Unregistered { kNotYetRegistered };
  explicit ThreadState(Unregistered) noexcept : word_(kUnregistered) {}

  enum class [[nodiscard]] ParkOutcome { kParked, kNotified, kRequested };
  enum class [[nodiscard]] WakeOutcome { kSchedule, kLeft };

  // ---- The thread itself, or its carrier.
  inline Snapshot Observe() const noexcept;
  inline ParkOutcome Park(Snapshot& seen) noexcept;
  inline void Registered() noexcept;
  inline void NoLongerRegistered() noexcept;
  inline void ClearRequested() noexcept;
  inline void HandsDown() noexcept;
  inline void End() noexcept;
  inline void Resume() noexcept;

  // ---- Others.
  inline WakeOutcome Wake() noexcept;
  inline Snapshot Request() noexcept;
  [[nodiscard]] inline bool Claim() noexcept;
  [[nodiscard]] inline bool EndCancel(bool withdrawn) noexcept;
  inline Snapshot Watch() noexcept;
  inline void Unwatch() noexcept;
  inline bool ended() const noexcept;

 private:
  static constexpr uint32_t kPhaseMask = 7;
  static constexpr uint32_t kRequested = 8;
  static constexpr uint32_t kWatched = 16;
  static constexpr uint32_t kUnregistered = 32;
  static constexpr uint32_t kHandsDown = 64;
  static constexpr uint32_t kOneRequest = 128;  // the count wraps after 2^25 requests, far more than one wait can meet

  static inline uint32_t WithPhase(uint32_t word, Phase phase) noexcept;

  // relaxed: where a compare-exchange decides, or where the step belongs to the owner of the thread, which other means
  // order.
  Atomic<uint32_t> word_{0};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_STATE_H_
