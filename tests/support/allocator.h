// The allocator of a test's program: whoever links this decides for each operator new whether there is memory.
#ifndef WEFT_TESTS_SUPPORT_ALLOCATOR_H_
#define WEFT_TESTS_SUPPORT_ALLOCATOR_H_

#include <cstddef>

namespace weft::testing {

// Asked for each allocation, by the thread that wants it. False: there is no memory. `throws`: what wants it cannot say
// so in another way. Set it once, before anything is measured; null: there is memory.
using MayAllocate = bool(size_t bytes, bool throws) noexcept;
inline constinit MayAllocate* may_allocate = nullptr;

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_ALLOCATOR_H_
