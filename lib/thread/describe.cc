#include "lib/thread/describe.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/thread/pinned.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {
namespace {

bool IsForALock(ParkReason reason) noexcept {
  return reason == ParkReason::kMutex || reason == ParkReason::kRecursiveMutex || reason == ParkReason::kSharedMutex ||
         reason == ParkReason::kSharedMutexRead;
}

}  // namespace

VirtualThread::PreciseState PreciseStateOf(const ThreadBlock& block) noexcept {
  using Phase = ThreadState::Phase;
  using State = VirtualThread::PreciseState;
  const Phase phase = block.state.Observe().phase();
  const ThreadIdentity* const known = block.identity();
  const WaitKind* const wait = block.wait.load(std::memory_order_relaxed);  // after the phase
  switch (phase) {
    case Phase::kEnded:
      if (known != nullptr && !known->ended()) return State::kRunning;  // its handles say so a little later
      return State::kTerminated;
    case Phase::kCancelling:
    case Phase::kCancellingWoken: return State::kCancelling;
    case Phase::kParked:
      if (wait == nullptr) break;  // it has been mounted since
      if (IsForALock(wait->reason)) return State::kBlocked;
      return wait->timed ? State::kTimedParked : State::kParked;
    case Phase::kActive:
    case Phase::kNotified:
      break;
  }
  // It may wait for its children, the last of which resumes it.
  if (wait != nullptr && wait->for_children) return State::kAwaitsChildren;
  if (known != nullptr && known->unstarted()) return State::kNew;
  const uint16_t mounted = block.mounted.load(std::memory_order_relaxed);
  if (mounted == 0) return State::kStarted;
  return (mounted & ThreadBlock::kMountedBit) != 0 ? State::kRunning : State::kQueued;
}

VirtualThread::State StateOf(const ThreadBlock& block) noexcept {
  using Precise = VirtualThread::PreciseState;
  switch (PreciseStateOf(block)) {
    case Precise::kNew: return VirtualThread::State::kNew;
    case Precise::kAwaitsChildren:
    case Precise::kParked: return VirtualThread::State::kWaiting;
    case Precise::kTimedParked: return VirtualThread::State::kTimedWaiting;
    case Precise::kBlocked: return VirtualThread::State::kBlocked;
    case Precise::kTerminated: return VirtualThread::State::kTerminated;
    default: return VirtualThread::State::kRunnable;
  }
}

int CarrierOf(const ThreadBlock& block) noexcept {
  if (PreciseStateOf(block) == VirtualThread::PreciseState::kAwaitsChildren) return -1;
  const uint16_t mounted = block.mounted.load(std::memory_order_relaxed);
  if ((mounted & ThreadBlock::kMountedBit) == 0) return -1;
  return (mounted & (ThreadBlock::kMountedBit - 1)) - 1;
}

namespace {

const char* StateName(VirtualThread::State state) noexcept {
  switch (state) {
    case VirtualThread::State::kNew: return "new";
    case VirtualThread::State::kRunnable: return "runnable";
    case VirtualThread::State::kBlocked: return "blocked";
    case VirtualThread::State::kWaiting: return "waiting";
    case VirtualThread::State::kTimedWaiting: return "timed_waiting";
    case VirtualThread::State::kTerminated: return "terminated";
  }
  return "unknown";
}

// A thread is one line of a report, whatever its name has.
void AppendName(std::string& text, std::string_view name) {
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_iscntrl(byte)) {
      absl::StrAppend(&text, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      text.push_back(c);
    }
  }
}

std::string Label(uint64_t id, std::string_view name) {
  std::string text = absl::StrCat("VirtualThread[#", id);
  if (!name.empty()) AppendName(text.append(","), name);
  return text.append("]");
}

std::string Describe(uint64_t id, std::string_view name, VirtualThread::State state, int carrier) {
  std::string text = absl::StrCat(Label(id, name), "/", StateName(state));
  if (carrier >= 0) absl::StrAppend(&text, "@carrier-", carrier);
  return text;
}

// Also of a branch of All that another one succeeds meanwhile. (all_scope.h)
uint64_t IdOf(const ThreadBlock& thread) noexcept {
  // relaxed: a number to look at.
  return std::atomic_ref(const_cast<uint64_t&>(thread.id)).load(std::memory_order_relaxed);
}

}  // namespace

std::string ThreadLabel(const ThreadBlock& thread) { return Label(IdOf(thread), thread.DisplayName()); }
std::string ThreadLabel(uint64_t id) { return id == 0 ? "an OS thread" : Label(id, {}); }

std::string DescribeCaller() {
  const ThreadBlock* const self = CurrentThread();
  return self == nullptr ? "an OS thread that runs no virtual thread" : DescribeThread(*self);
}

std::string DescribeThread(const ThreadBlock& thread) {
  std::string text = Describe(IdOf(thread), thread.DisplayName(), StateOf(thread), CarrierOf(thread));
  if (IsPinned(thread)) absl::StrAppend(&text, ", pinned to carrier-", LastCarrier(thread));
  return text;
}

std::string DescribeEnded(uint64_t id, std::string_view name) {
  return Describe(id, name, VirtualThread::State::kTerminated, -1);
}

}  // namespace weft::internal
