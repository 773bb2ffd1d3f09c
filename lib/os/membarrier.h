// Layer os. How does the expensive side of an uneven duel make the fence for the cheap side? (fence.h)
#ifndef WEFT_LIB_OS_MEMBARRIER_H_
#define WEFT_LIB_OS_MEMBARRIER_H_

namespace weft::internal {

// Registers the process for membarrier(2). Before the first thread that duels is started, in a child of fork(2) too;
// afterwards LightFence() is free, unless the kernel, or a sandbox, refuses. Any thread; idempotent.
void EnableAsymmetricFences() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_MEMBARRIER_H_
