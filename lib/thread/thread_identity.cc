#include "weft/internal/thread_identity.h"

#include <cstdint>

#include "weft/internal/thread_block.h"

namespace weft::internal {

void ThreadIdentity::Bind(const ThreadBlock& thread, uintptr_t of_thread) noexcept {
  id = thread.id;
  place = of_thread;
  thread_ = &thread;
}

}  // namespace weft::internal
