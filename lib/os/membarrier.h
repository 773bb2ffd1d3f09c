// Layer os. How does the expensive side of an uneven duel make the fence for the cheap side? (fence.h) And how is a
// thread that computes made to enter the kernel?
#ifndef WEFT_LIB_OS_MEMBARRIER_H_
#define WEFT_LIB_OS_MEMBARRIER_H_

namespace weft::internal {

// Registers the process for membarrier(2). Before the first thread that duels is started, in a child of fork(2) too;
// afterwards LightFence() is free, unless the kernel, or a sandbox, refuses. Any thread; idempotent.
void EnableAsymmetricFences() noexcept;

// Interrupts every running OS thread of the process but the caller. So each enters the kernel soon, and what that has
// to do for it is done. Without EnableAsymmetricFences(), or where the kernel refuses, nothing. Any thread. Some
// microseconds.
void InterruptRunningThreads() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_MEMBARRIER_H_
