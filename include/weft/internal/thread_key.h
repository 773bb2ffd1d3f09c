// Names a virtual thread that may be gone. For locks, which say which thread holds them.
#ifndef WEFT_INTERNAL_THREAD_KEY_H_
#define WEFT_INTERNAL_THREAD_KEY_H_

#include "weft/internal/compiler.h"

#include <cstdint>

namespace weft::internal {

// Which thread. The address is compared, never followed: the thread may be gone, and another one in its place.
struct ThreadKey {
  const void* address = nullptr;  // null: no virtual thread
  uint64_t id = 0;

  friend bool operator==(const ThreadKey&, const ThreadKey&) = default;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_THREAD_KEY_H_
