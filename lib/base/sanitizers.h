// Layer base. What sanitizers offer to the code that they check. In a program that is built without them, these macros
// do nothing, and no header of theirs is needed: those come with the compiler's runtime libraries, which not everybody
// has installed.
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
#include <sanitizer/tsan_interface.h>
#endif

#endif  // WEFT_LIB_BASE_SANITIZERS_H_
