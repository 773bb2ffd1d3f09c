#include "lib/thread/describe.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

VirtualThread::State StateOf(const ThreadBlock& block) noexcept {
  using Phase = ThreadState::Phase;
  switch (block.state.Observe().phase()) {
    case Phase::kEnded: return VirtualThread::State::kTerminated;
    case Phase::kParked: {
      const WaitKind* wait = block.wait.load(std::memory_order_relaxed);
      return wait != nullptr && wait->timed ? VirtualThread::State::kTimedWaiting : VirtualThread::State::kWaiting;
    }
    case Phase::kActive: {
      // It may wait for its children, the last of which resumes it.
      const WaitKind* wait = block.wait.load(std::memory_order_relaxed);
      return wait != nullptr && wait->for_children ? VirtualThread::State::kWaiting : VirtualThread::State::kRunnable;
    }
    default: return VirtualThread::State::kRunnable;
  }
}

int CarrierOf(const ThreadBlock& block) noexcept {
  if (StateOf(block) == VirtualThread::State::kWaiting) return -1;
  const uint16_t mounted = block.mounted.load(std::memory_order_relaxed);
  if ((mounted & ThreadBlock::kMountedBit) == 0) return -1;
  return (mounted & (ThreadBlock::kMountedBit - 1)) - 1;
}

namespace {

const char* StateName(VirtualThread::State state) noexcept {
  switch (state) {
    case VirtualThread::State::kRunnable: return "runnable";
    case VirtualThread::State::kWaiting: return "waiting";
    case VirtualThread::State::kTimedWaiting: return "timed_waiting";
    case VirtualThread::State::kTerminated: return "terminated";
  }
  return "unknown";
}

std::string Label(uint64_t id, std::string_view name) {
  std::string text = absl::StrCat("VirtualThread[#", id);
  if (!name.empty()) text.append(",").append(name);
  return text.append("]");
}

std::string Describe(uint64_t id, std::string_view name, VirtualThread::State state, int carrier) {
  std::string text = absl::StrCat(Label(id, name), "/", StateName(state));
  if (carrier >= 0) absl::StrAppend(&text, "@carrier-", carrier);
  return text;
}

}  // namespace

std::string ThreadLabel(const ThreadBlock& thread) { return Label(thread.id, thread.DisplayName()); }
std::string ThreadLabel(uint64_t id) { return id == 0 ? "an OS thread" : Label(id, {}); }

std::string DescribeCaller() {
  const ThreadBlock* const self = CurrentThread();
  return self == nullptr ? "an OS thread that runs no virtual thread" : DescribeThread(*self);
}

std::string DescribeThread(const ThreadBlock& thread) {
  return Describe(thread.id, thread.DisplayName(), StateOf(thread), CarrierOf(thread));
}

std::string DescribeEnded(uint64_t id, std::string_view name) {
  return Describe(id, name, VirtualThread::State::kTerminated, -1);
}

}  // namespace weft::internal
