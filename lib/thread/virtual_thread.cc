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
    case Phase::kActive: {
      // It waits for its children, and whoever ends last resumes it.
      const internal::WaitKind* wait = block.wait.load(std::memory_order_relaxed);
      return wait != nullptr && wait->for_children ? VirtualThread::State::kWaiting : VirtualThread::State::kRunnable;
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
  if (StateOf(block) == VirtualThread::State::kWaiting) return -1;
  const uint32_t mounted = block.mounted.load(std::memory_order_relaxed);
  if ((mounted & internal::ThreadBlock::kMountedBit) == 0) return -1;
  return static_cast<int>((mounted & ~internal::ThreadBlock::kMountedBit) - 1);
}

}  // namespace

namespace internal {

namespace {

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

void ThreadIdentity::Bind(const ThreadBlock& thread) noexcept {
  id = thread.id;
  thread_ = &thread;
}

ThreadIdentity& ThreadBlock::Identity() {
  ThreadIdentity* known = identity.load(std::memory_order_relaxed);
  if (known == nullptr) {
    known = new ThreadIdentity;
    known->Bind(*this);
    identity.store(known, std::memory_order_release);  // [identity/1] release: pairs with [identity/2]
  }
  return *known;
}

}  // namespace internal

VirtualThread VirtualThread::Current() {
  return VirtualThread(internal::RequireThread("VirtualThread::Current()").Identity());
}

VirtualThread::State VirtualThread::state() const noexcept {
  return identity_->With(
      [](const internal::ThreadBlock* thread) { return thread == nullptr ? State::kTerminated : StateOf(*thread); });
}

int VirtualThread::carrier() const noexcept {
  return identity_->With(
      [](const internal::ThreadBlock* thread) { return thread == nullptr ? -1 : CarrierOf(*thread); });
}

std::string VirtualThread::ToString() const {
  return identity_->With([&](const internal::ThreadBlock* thread) {
    return thread == nullptr ? internal::Describe(id(), name(), State::kTerminated, -1)
                             : internal::DescribeThread(*thread);
  });
}

}  // namespace weft
