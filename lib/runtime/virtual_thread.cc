#include "weft/virtual_thread.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft {
namespace {

VirtualThread::State StateOf(const internal::ThreadBlock& block) noexcept {
  using Phase = internal::ThreadState::Phase;
  switch (block.state.Observe().phase()) {
    case Phase::kEnded: return VirtualThread::State::kTerminated;
    case Phase::kParked: {
      const internal::WaitKind* wait = block.wait.load(std::memory_order_relaxed);
      return wait != nullptr && wait->timed ? VirtualThread::State::kTimedWaiting : VirtualThread::State::kWaiting;
    }
    default: return VirtualThread::State::kRunnable;
  }
}

const char* StateName(VirtualThread::State state) noexcept {
  switch (state) {
    case VirtualThread::State::kRunnable: return "runnable";
    case VirtualThread::State::kWaiting: return "waiting";
    case VirtualThread::State::kTimedWaiting: return "timed_waiting";
    case VirtualThread::State::kTerminated: return "terminated";
  }
  return "unknown";
}

int CarrierOf(const internal::ThreadBlock& block) noexcept {
  const uint32_t mounted = block.mounted.load(std::memory_order_relaxed);
  if ((mounted & internal::ThreadBlock::kMountedBit) == 0) return -1;
  return static_cast<int>((mounted & ~internal::ThreadBlock::kMountedBit) - 1);
}

}  // namespace

namespace internal {

std::string DescribeThread(const ThreadBlock& thread) {
  std::string text = absl::StrCat("VirtualThread[#", thread.id);
  if (thread.name != nullptr) absl::StrAppend(&text, ",", *thread.name);
  absl::StrAppend(&text, "]/", StateName(StateOf(thread)));
  if (const int carrier = CarrierOf(thread); carrier >= 0) absl::StrAppend(&text, "@carrier-", carrier);
  return text;
}

}  // namespace internal

VirtualThread VirtualThread::Current() { return VirtualThread(&internal::RequireThread("VirtualThread::Current()")); }

VirtualThread::State VirtualThread::state() const noexcept { return StateOf(*block_); }

int VirtualThread::carrier() const noexcept { return CarrierOf(*block_); }

std::string VirtualThread::ToString() const { return internal::DescribeThread(*block_); }

}  // namespace weft
