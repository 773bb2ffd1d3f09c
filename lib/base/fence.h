// Layer base. Which fences does Weft use?
//
//  * `StoreLoadFence()` is for a duel only: each of two threads stores its own word, fences, and loads the word of the
//    other; at least one of them sees the other's store. It orders nothing else that the code relies on.
//  * `LightFence()` and `HeavyFence()` are the two sides of an uneven duel: one side runs all the time and pays next to
//    nothing, the other is rare and pays for both. A duel between two light sides is lost.
//
// Cost on x86-64: the fence is one locked instruction on the own stack, 5.4 ns. The light fence is a load and a branch;
// the heavy one a system call, about 13 us while other threads of the process run, since the kernel interrupts each of
// them. Rejected: `std::atomic_thread_fence(seq_cst)`, which clang 19 compiles to `mfence`, 21 ns; a locked instruction
// on the word at `(%rsp)`, which would make the function's return or reload wait for it.
#ifndef WEFT_LIB_BASE_FENCE_H_
#define WEFT_LIB_BASE_FENCE_H_

#include "weft/internal/atomic.h"  // in a build with WEFT_MODEL, it has all that stands here as well

#ifndef WEFT_MODEL

namespace weft::internal {

// Whether loops that only wait should be short, because every round is a choice to explore.
inline constexpr bool kModelChecked = false;

// A full fence, for store-load duels only. ThreadSanitizer does not see it, which is right, because it publishes
// nothing. The argument is there for its label.
inline void StoreLoadFence(std::memory_order = std::memory_order_seq_cst) noexcept {
#if defined(__x86_64__)
  // Adds 0 to a word of the own red zone, a cache line away from what the function is using.
  __asm__ __volatile__("lock addl $0, -64(%%rsp)" ::: "memory", "cc");
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

// Set for good, by EnableAsymmetricFences(). (lib/os/membarrier.h)
inline constinit std::atomic<bool> g_asymmetric_fences{false};

inline bool FencesAreAsymmetric() noexcept {
  return g_asymmetric_fences.load(std::memory_order_relaxed);  // relaxed: set before there is anybody to duel with
}

// A LightFence() where FencesAreAsymmetric() is known to hold: only the compiler is told.
inline void BiasFence(std::memory_order = std::memory_order_seq_cst) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// The cheap side of an uneven duel: a StoreLoadFence() in effect, as long as the other side calls HeavyFence(). Where
// the kernel has no membarrier, both are StoreLoadFence().
inline void LightFence(std::memory_order = std::memory_order_seq_cst) noexcept {
  if (FencesAreAsymmetric()) [[likely]] {
    BiasFence();
  } else {
    StoreLoadFence();
  }
}

// The expensive side: when it returns, every other thread of the process has passed a full fence since it was called.
// (lib/os/membarrier.cc)
void HeavyFence(std::memory_order = std::memory_order_seq_cst) noexcept;

// Tells the core that this is a spin loop.
inline void CpuRelax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb" ::: "memory");
#endif
}

}  // namespace weft::internal

#endif  // WEFT_MODEL

#endif  // WEFT_LIB_BASE_FENCE_H_
