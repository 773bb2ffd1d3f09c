// Layer thread. Is a thread pinned, and to which carrier? (weft/pin.h)
//
// The Pins of a thread are counted in its identity: a thread without one has none. It is pinned to the carrier that it
// was last mounted on, which was mounted there when it made the first, and has not moved since.
//
// Who may call: the thread itself, whoever owns it, or, for display, whoever keeps it alive.
#ifndef WEFT_LIB_THREAD_PINNED_H_
#define WEFT_LIB_THREAD_PINNED_H_

#include <cstdint>

#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"

namespace weft::internal {

inline bool IsPinned(const ThreadBlock& thread) noexcept {
  const ThreadIdentity* const known = thread.identity();
  return known != nullptr && known->pins.load(std::memory_order_relaxed) != 0;  // relaxed: by the thread itself
}

// The index. The thread has been mounted.
inline uint32_t LastCarrier(const ThreadBlock& thread) noexcept {
  return (thread.mounted.load(std::memory_order_relaxed) & (ThreadBlock::kMountedBit - 1u)) - 1;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_PINNED_H_
