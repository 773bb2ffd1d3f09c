#include "weft/internal/promise.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "weft/internal/check.h"
#include "weft/task.h"

namespace weft::internal {

[[gnu::noinline]] void CheckAligned(const void* object, size_t alignment) noexcept {
  auto address = reinterpret_cast<uintptr_t>(object);
  asm("" : "+r"(address));  // the compiler believes that it is aligned
  WEFT_CHECK(address % alignment == 0)
      << "an object aligned to " << alignment << " bytes lies at " << object
      << ", in the frame of a coroutine that was not compiled with -fcoro-aligned-allocation";
}

void DestroyOwing(void* frame) {
  // Whatever its result is: the promises of all such frames are laid out alike.
  auto& promise = std::coroutine_handle<OwingTaskPromise<TaskPromise<void>>>::from_address(frame).promise();
  promise.EndOwing();
  promise.header().destroy(frame);
}

[[gnu::noinline]] DestroyFunction* BeginOwing(PromiseBase& promise) noexcept {
  return std::exchange(promise.header().destroy, &DestroyOwing);
}

[[gnu::noinline]] void EndOwing(PromiseBase& promise, DestroyFunction* destroy) noexcept {
  promise.header().destroy = destroy;
}

// clang: "... [T = int]".
void DieWithoutResult(const char* function) noexcept {
  std::string_view type = function;
  const size_t begin = type.rfind("[T = ");
  type = begin == std::string_view::npos ? "T" : type.substr(begin + 5, type.size() - begin - 6);
  WEFT_CHECK(false) << "a coroutine that returns a weft::Task<" << type
                    << "> has ended without a co_return; every way through it needs one";
  __builtin_unreachable();
}

}  // namespace weft::internal
