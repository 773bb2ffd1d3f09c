// Layer base. Which atomics does Weft use, and which fence?
//
// `Atomic<T>` is `std::atomic<T>`. Every shared word of Weft is declared with it, and no other file names
// `std::atomic`: this is the one seam through which the model checker sees all of them. A build with WEFT_MODEL takes
// the names from the checker (weft/internal/model_atomic.h, lib/testing/model) instead of from here.
//
// Rules for users:
//  * Plain data is published by a release operation and read after an acquire operation on the same word, never by a
//    fence. ThreadSanitizer cannot follow fences, and the label at the operation says what pairs with what.
//  * `StoreLoadFence()` is for a duel only: each of two threads stores its own word, fences, and loads the word of the
//    other; at least one of them sees the other's store. It orders nothing else that the code relies on.
//  * `LightFence()` and `HeavyFence()` are the two sides of an uneven duel: one side runs all the time and pays next to
//    nothing, the other is rare and pays for both. A duel between two light sides is lost.
//  * An order that another one pairs with is written `WEFT_ORDER("deque/2", std::memory_order_release)`, with the label
//    of the comment that says why. It is the plain constant here. The checker weakens each in turn, and a test of the
//    component has to fail; a fence takes its label the same way.
//  * An owner's own relaxed store does not continue a release sequence (C++20): where a reader relies on an earlier
//    release store, every later store to that word is a release store too.
//
// Cost on x86-64: the fence is one locked instruction on the own stack, 5.4 ns. The light fence is a load and a branch;
// the heavy one a system call, about 13 us while other threads of the process run, since the kernel interrupts each of
// them. Rejected: `std::atomic_thread_fence(seq_cst)`, which clang 19 compiles to `mfence`, 21 ns; a locked instruction
// on the word at `(%rsp)`, which would make the function's return or reload wait for it.
#ifndef WEFT_INTERNAL_ATOMIC_H_
#define WEFT_INTERNAL_ATOMIC_H_

#include "weft/internal/compiler.h"

#include <cstddef>

#ifdef WEFT_MODEL
#include "weft/internal/model_atomic.h"  // the checker's Atomic, fences and CpuRelax
#else

#include <atomic>

namespace weft::internal {

template <class T>
using Atomic = std::atomic<T>;

// A word that is nobody's in common, but passes from one thread to another: the checker looks for data races on it.
template <class T>
using Plain = T;

// The order at a labelled site.
#define WEFT_ORDER(label, order) (order)

// Whether loops that only wait should be short, because every round is a choice to explore.
inline constexpr bool kModelChecked = false;

// A full fence, for store-load duels only. It is invisible to ThreadSanitizer, which is right: it publishes nothing.
// The argument is there for its label.
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

// The dear side: when it returns, every other thread of the process has passed a full fence since it was called.
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

namespace weft::internal {

// The distance at which two words written by different threads do not slow each other down, in bytes. Fixed, not
// std::hardware_destructive_interference_size, whose value may differ between the compilers of one program. Intel's
// prefetcher pulls lines in pairs; aligning to 128 doubles the small objects and was not worth it.
inline constexpr size_t kCacheLineSize = 64;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_ATOMIC_H_
