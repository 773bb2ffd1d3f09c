// Layer base. Which atomics does Weft use? (Fences are in lib/base/fence.h.)
//
// `Atomic<T>` is `std::atomic<T>`. Every shared word of Weft is declared with it, and no other file names
// `std::atomic`: this is the one seam through which the model checker sees all of them. A build for the checker defines
// WEFT_MODEL, as the name of a header, and takes the names from there. (lib/testing/model)
//
// Rules for users:
//  * Plain data is published by a release operation and read after an acquire operation on the same word, never by a
//    fence. ThreadSanitizer cannot follow fences, and the label at the operation says what pairs with what.
//  * An order that another one pairs with is written `WEFT_ORDER("deque/2", std::memory_order_release)`, with the label
//    of the comment that says why. Here that is the plain constant. The checker weakens each labelled order in turn,
//    and a test of the component must fail. A fence takes its label the same way.
//  * An owner's own relaxed store does not continue a release sequence (C++20): where a reader relies on an earlier
//    release store, every later store to that word is a release store too.
#ifndef WEFT_INTERNAL_ATOMIC_H_
#define WEFT_INTERNAL_ATOMIC_H_

#include "weft/internal/compiler.h"

#include <cstddef>

#ifdef WEFT_MODEL
#include WEFT_MODEL  // the checker's Atomic, fences and CpuRelax
#else

#include <atomic>

namespace weft::internal {

template <class T>
using Atomic = std::atomic<T>;

// A non-atomic word that is handed from one thread to another. The model checker reports data races on it.
template <class T>
using Plain = T;

// The order at a labelled site.
#define WEFT_ORDER(label, order) (order)

}  // namespace weft::internal

#endif  // WEFT_MODEL

namespace weft::internal {

// The distance at which two words written by different threads do not slow each other down, in bytes. Fixed, not
// std::hardware_destructive_interference_size, whose value may differ between the compilers of one program. Intel's
// prefetcher pulls lines in pairs; aligning to 128 doubles the small objects and was not worth it.
inline constexpr size_t kCacheLineSize = 64;

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_ATOMIC_H_
