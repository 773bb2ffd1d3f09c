// Layer os. How does memory go back to the system, while its addresses stay, and how does it come in large pages?
#ifndef WEFT_LIB_OS_PAGES_H_
#define WEFT_LIB_OS_PAGES_H_

#include <cstddef>

namespace weft::internal {

// The system may have the memory of these pages, whose content is lost. They are there again, as zeros, when they are
// touched. Where the kernel refuses, they stay as they are. `begin` and `bytes` are multiples of a page.
void ReturnPages(void* begin, size_t bytes) noexcept;
// The same for the pages that lie in these bytes as a whole, if there are any.
void ReturnPagesWithin(void* begin, size_t bytes) noexcept;

// The kernel is to use huge pages here, also where it does so only on request. `begin` and `bytes` are multiples of a
// huge page. Where it refuses, or has none free, it uses small ones.
void AskForHugePages(void* begin, size_t bytes) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_OS_PAGES_H_
