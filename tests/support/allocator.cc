#include "tests/support/allocator.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "weft/internal/compiler.h"

namespace weft::testing {
namespace {

constexpr auto kUsual = static_cast<std::align_val_t>(__STDCPP_DEFAULT_NEW_ALIGNMENT__);

void* Allocate(size_t bytes, bool throws, std::align_val_t alignment = kUsual) noexcept {
  if (may_allocate != nullptr && !may_allocate(bytes, throws)) return nullptr;
  if (bytes > PTRDIFF_MAX) return nullptr;  // rounded up, it might be little
  const auto align = static_cast<size_t>(alignment);
  return alignment <= kUsual ? std::malloc(bytes) : std::aligned_alloc(align, (bytes + align - 1) / align * align);
}

template <class... Alignment>
void* AllocateOrThrow(size_t bytes, Alignment... alignment) {
  void* const memory = Allocate(bytes, /*throws=*/true, alignment...);
  if (memory != nullptr) return memory;
#if WEFT_EXCEPTIONS
  throw std::bad_alloc();
#else
  std::abort();
#endif
}

}  // namespace
}  // namespace weft::testing

using weft::testing::Allocate;
using weft::testing::AllocateOrThrow;

void* operator new(size_t bytes) { return AllocateOrThrow(bytes); }
void* operator new[](size_t bytes) { return AllocateOrThrow(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, false); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, false); }
void* operator new(size_t bytes, std::align_val_t alignment) { return AllocateOrThrow(bytes, alignment); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return AllocateOrThrow(bytes, alignment); }
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(bytes, false, alignment);
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(bytes, false, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
