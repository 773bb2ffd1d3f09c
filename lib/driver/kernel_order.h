// Layer driver. How does ThreadSanitizer learn what the kernel orders?
//
// Bytes that one thread sends and another receives carry a happens-before edge with them: the kernel copies them in and
// out under its own locks. ThreadSanitizer sees that edge in calls that it intercepts, like recv(2). It sees nothing of
// io_uring. So whoever starts an operation announces the edge, a driver or a write that ends at once: what was done
// before a send or a connect was started happens before what is done after a receive or an accept that ended well. Like
// in ThreadSanitizer's own interceptors, there is one edge for all sockets. Nothing else about an operation is
// announced, so that races inside Weft stay visible.
//
// liburing maps and unmaps a ring's memory by system calls of its own, which no interceptor sees either. A new ring may
// get the addresses of an old one that is gone; what was done in the old ring happens before what is done in the new
// one.
//
// Cost: none in other builds.
#ifndef WEFT_LIB_DRIVER_KERNEL_ORDER_H_
#define WEFT_LIB_DRIVER_KERNEL_ORDER_H_

#include "lib/driver/request_facts.h"
#include "weft/internal/operation.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_THREAD_SANITIZER 1
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif
#endif

namespace weft::internal {

#ifdef WEFT_THREAD_SANITIZER
inline constinit char kernel_order_word = 0;
inline constinit char ring_memory_word = 0;
#endif

// Before the memory of a ring is unmapped.
inline void AnnounceUnmapping() noexcept {
#ifdef WEFT_THREAD_SANITIZER
  __tsan_release(&ring_memory_word);
#endif
}

// After the memory of a ring has been mapped.
inline void AnnounceMapping() noexcept {
#ifdef WEFT_THREAD_SANITIZER
  __tsan_acquire(&ring_memory_word);
#endif
}

// Before the kernel gets to see `op`.
inline void AnnounceStart([[maybe_unused]] const Operation& op) noexcept {
#ifdef WEFT_THREAD_SANITIZER
  if (FactsOf(op.request.code).flow == Flow::kOut) __tsan_release(&kernel_order_word);
#endif
}

// After the kernel has said how `op` ended.
inline void AnnounceEnd([[maybe_unused]] const Operation& op) noexcept {
#ifdef WEFT_THREAD_SANITIZER
  if (FactsOf(op.request.code).flow == Flow::kIn) __tsan_acquire(&kernel_order_word);
#endif
}

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_KERNEL_ORDER_H_
