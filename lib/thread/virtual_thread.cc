#include "weft/virtual_thread.h"

#include <string>

#include "lib/thread/describe.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"

namespace weft {

VirtualThread VirtualThread::Current() {
  return VirtualThread(internal::RequireThread("VirtualThread::Current()").Identity());
}

VirtualThread::State VirtualThread::state() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) {
    return thread == nullptr ? State::kTerminated : internal::StateOf(*thread);
  });
}

int VirtualThread::carrier() const noexcept {
  return identity_->With(
      [](const internal::ThreadBlock* thread) { return thread == nullptr ? -1 : internal::CarrierOf(*thread); });
}

std::string VirtualThread::ToString() const {
  return identity_->With([&](const internal::ThreadBlock* thread) {
    return thread == nullptr ? internal::DescribeEnded(id(), name()) : internal::DescribeThread(*thread);
  });
}

}  // namespace weft
