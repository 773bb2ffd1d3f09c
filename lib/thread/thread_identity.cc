#include "weft/internal/thread_identity.h"

#include "weft/internal/thread_block.h"

namespace weft::internal {

void ThreadIdentity::Bind(const ThreadBlock& thread) noexcept {
  id = thread.id;
  thread_ = &thread;
}

}  // namespace weft::internal
