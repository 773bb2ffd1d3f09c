#include "weft/virtual_thread.h"

#include <string>
#include <string_view>

#include "lib/thread/describe.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft {

VirtualThread VirtualThread::Current() {
  return VirtualThread(internal::RequireThread("VirtualThread::Current()").Identity());
}

VirtualThread::State VirtualThread::state() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) {
    return thread == nullptr ? State::kTerminated : internal::StateOf(*thread);
  });
}

VirtualThread::PreciseState VirtualThread::precise_state() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) {
    return thread == nullptr ? PreciseState::kTerminated : internal::PreciseStateOf(*thread);
  });
}

std::string_view VirtualThread::waits_in() const noexcept {
  return identity_->With([](const internal::ThreadBlock* thread) -> std::string_view {
    const internal::WaitKind* const wait = thread == nullptr ? nullptr : thread->wait.load(std::memory_order_relaxed);
    return wait == nullptr ? "" : internal::ParkReasonName(wait->reason);
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
