#include "lib/io/open_descriptor.h"

#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "lib/io/accept_retry.h"
#include "lib/os/global_lock.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/frame_cache.h"

namespace weft::internal {
namespace {

// Guards which backends know of a descriptor. For the first operation on it, and the first of another runtime.
constinit GlobalLock attach_lock;

// Calls `visit` with those that may have heard of a descriptor.
template <class Visit>
void VisitAttached(Backend* first, bool several, Visit visit) noexcept {
  if (first != nullptr) visit(*first);
  if (several) VisitBackends([](Backend& backend, void* with) { (*static_cast<Visit*>(with))(backend); }, &visit);
}

}  // namespace

OpenDescriptor* OpenDescriptor::New() noexcept {
  void* const memory = AllocateFrameNoThrow(sizeof(OpenDescriptor));
  return memory == nullptr ? nullptr : ::new (memory) OpenDescriptor();
}

void OpenDescriptor::Open(int fd) noexcept {
  AddRef();
  fd_.store(fd, std::memory_order_relaxed);
  uses_.store(0, std::memory_order_relaxed);
}

bool OpenDescriptor::Acquire() noexcept {
  if (IsInherited()) [[unlikely]]
    TakeOver();
  uint32_t uses = uses_.load(std::memory_order_relaxed);
  do {
    if ((uses & kClosed) != 0) return false;
  } while (!uses_.compare_exchange_weak(uses, uses + kUse, std::memory_order_relaxed, std::memory_order_relaxed));
  return true;
}

void OpenDescriptor::Leave() noexcept {
  // [descriptor/8] acq_rel: pairs with itself and with [descriptor/7]. What all others did with the descriptor happens
  // before its close.
  if (uses_.fetch_sub(kUse, std::memory_order_acq_rel) == (kClosed | kUse)) CloseInKernel();
}

void OpenDescriptor::Close() noexcept {
  if (IsInherited()) [[unlikely]]
    TakeOver();
  uint32_t uses = uses_.load(std::memory_order_relaxed);
  do {
    if ((uses & kClosed) != 0) return;
    // One more use, so that the number keeps its meaning until the end of this function.
    // [descriptor/7] acq_rel: pairs with [descriptor/6], for which `closing` is published, and with [descriptor/8].
  } while (!uses_.compare_exchange_weak(uses, (uses + kUse) | kClosed, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  if (uses != 0) {
    Backend* first;
    bool several;
    {
      // Either the first operation has attached it by now, or it comes to see `closed`.
      std::lock_guard guard(attach_lock);
      // relaxed: this lock orders it for the first operation, and that of CancelPending() for others.
      pending_.closed.store(true, std::memory_order_relaxed);
      first = backend_.get();
      several = Several();
    }
    VisitAttached(first, several, [this](Backend& backend) { backend.CancelPending(fd(), pending_); });
  }
  Leave();
}

void OpenDescriptor::CloseInKernel() noexcept {
  const int number = fd();
  VisitAttached(backend_.get(), Several(), [number](Backend& backend) { backend.Forget(number); });
  Sys().close(number);  // the descriptor is gone whatever it says
  // [descriptor/2] release: pairs with [descriptor/1].
  fd_.store(-1, std::memory_order_release);
  DescriptorFreed();
  Release();
}

void OpenDescriptor::AttachTo(const Backend* own, ParkReason what) noexcept {
  WEFT_CHECK(own != nullptr) << ParkReasonName(what)
                             << "() in a simulation without I/O: SimulationOptions::io gives it some";
  std::lock_guard guard(attach_lock);
  if (backend_ == nullptr) {
    backend_ = RuntimeBackend();
    // [descriptor/10] release: pairs with [descriptor/9], whose caller may be the one to close the descriptor.
    attached_.store(own, std::memory_order_release);
  } else if (backend_.get() != own) {
    // [descriptor/14] release: pairs with [descriptor/13], like [descriptor/10].
    several_.store(true, std::memory_order_release);
  }
}

// The first time that a child does anything with it. What goes on there, a simulation without I/O, has no uses.
void OpenDescriptor::TakeOver() noexcept {
  bool closing = false;
  {
    std::lock_guard guard(attach_lock);
    if (!IsInherited()) return;
    const uint32_t uses = uses_.load(std::memory_order_relaxed);
    closing = (uses & kClosed) != 0 && uses != kClosed;
    uses_.store(uses & kClosed, std::memory_order_relaxed);
    // The parent's operations are in it, and a thread of the parent may have its lock.
    ::new (&pending_) PendingOperations();
    pending_.closed.store((uses & kClosed) != 0, std::memory_order_relaxed);  // relaxed: [descriptor/12] orders it
    attached_.store(nullptr, std::memory_order_relaxed);                      // relaxed: the same
    several_.store(false, std::memory_order_relaxed);                         // relaxed: the same
    backend_ = nullptr;
    // [descriptor/12] release: pairs with [descriptor/11].
    forks_.store(ForksSoFar(), std::memory_order_release);
  }
  if (closing) CloseInKernel();
}

// ---- The ways to hold one (weft/internal/descriptor.h).

DescriptorRef::DescriptorRef(const DescriptorRef& other) noexcept : descriptor_(other.descriptor_) {
  if (descriptor_ != nullptr) descriptor_->AddRef();
}

void DescriptorRef::Release() noexcept { descriptor_->Release(); }

DescriptorUse::DescriptorUse(OpenDescriptor* descriptor) noexcept
    : descriptor_(descriptor != nullptr && descriptor->Acquire() ? descriptor : nullptr) {}

void DescriptorUse::Leave() noexcept {
  if (descriptor_ != nullptr) std::exchange(descriptor_, nullptr)->Leave();
}

int DescriptorUse::fd() const noexcept { return descriptor_->fd(); }

OwnedDescriptor OwnedDescriptor::Empty() noexcept { return OwnedDescriptor(OpenDescriptor::New()); }

void OwnedDescriptor::Open(int fd) noexcept { descriptor_->Open(fd); }

bool OwnedDescriptor::is_open() const noexcept { return descriptor_ && descriptor_->is_open(); }

void OwnedDescriptor::Close() noexcept {
  if (descriptor_) descriptor_->Close();
}

int OwnedDescriptor::native_handle() const noexcept {
  return descriptor_ && !descriptor_->closing() ? descriptor_->fd() : -1;
}

DescriptorRef OwnedDescriptor::Share(const char* what) const noexcept {
  WEFT_CHECK(descriptor_) << what << " on a descriptor that was moved from";
  return descriptor_;
}

DescriptorUse OwnedDescriptor::Use(const char* what) const noexcept {
  WEFT_CHECK(descriptor_) << what << " on a descriptor that was moved from";
  return DescriptorUse(descriptor_.get());
}

}  // namespace weft::internal
