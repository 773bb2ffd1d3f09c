// Layer base. What sanitizers offer to the code that they check. In a program that is built without them, all of this
// does nothing, and no header of theirs is needed: those come with the compiler's runtime libraries, which not
// everybody has installed.
#ifndef WEFT_LIB_BASE_SANITIZERS_H_
#define WEFT_LIB_BASE_SANITIZERS_H_

#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

#if __has_feature(thread_sanitizer)
#include <sanitizer/linux_syscall_hooks.h>
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::internal {

// Lives around a system call that may wait and that ThreadSanitizer does not intercept.
//
// ThreadSanitizer lets a signal handler run in the calls that it knows. In other code, it keeps the signal until the
// thread makes such a call, or uses an atomic. One that comes after the last of these, and before a wait that it does
// not know, would be kept for as long as the thread sleeps. So tell it of the wait: the handler runs before, or in it.
class BlockingSyscall {
 public:
  BlockingSyscall(const BlockingSyscall&) = delete;
  BlockingSyscall& operator=(const BlockingSyscall&) = delete;

#if __has_feature(thread_sanitizer)
  // The hook of futex(2), for each call: of those without effects of their own, it is the one that says "may wait".
  BlockingSyscall() noexcept { __sanitizer_syscall_pre_futex(0, 0, 0, 0, 0, 0); }
  ~BlockingSyscall() { __sanitizer_syscall_post_futex(0, 0, 0, 0, 0, 0, 0); }
#else
  BlockingSyscall() noexcept {}
  ~BlockingSyscall() {}
#endif
};

}  // namespace weft::internal

#endif  // WEFT_LIB_BASE_SANITIZERS_H_
