// Layer io. What is a descriptor that several virtual threads use, and any thread may close meanwhile?
//
// A mere close(2) would not do. The kernel would use the number again, under threads that still have it; and on
// io_uring a pending operation keeps the old socket alive, so that its reader goes on waiting and the peer sees no end.
// Therefore, like in Go's fdMutex: each operation holds a use of the descriptor; Close() refuses further uses, and ends
// what is pending; whoever leaves the last use closes.
//
//   uses_                 meaning                          next, and by whom
//   open, n uses          in use                           n +- 1: Acquire(), Leave(); closed, n: Close()
//   closed, n > 0 uses    its operations are being ended   closed, n - 1: Leave()
//   closed, 0 uses        closed in the kernel, or about   none
//                         to be, by whoever brought it
//                         here
//
// Why no operation is left pending. Close() sets the bit, then `pending_.closed`, and then asks the driver to end what
// is pending. An operation that got its use before the bit is either found by the driver, or looks at `pending_.closed`
// afterwards. (lib/driver/pending_operations.h)
//
// Several runtimes may use it, one after the other or at once. Each operation is its own runtime's. Close() ends what
// is pending in each.
//
// In a child of fork(2) the parent's uses are nobody's. So the first to do anything with it there takes it over: from
// then on it has no uses, and belongs to no runtime.
//
// Memory: reference-counted. The open descriptor is one reference; objects that want to use it, or to know whether it
// is open, hold others. A use needs none: what is in use is open.
#ifndef WEFT_LIB_IO_OPEN_DESCRIPTOR_H_
#define WEFT_LIB_IO_OPEN_DESCRIPTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lib/driver/driver.h"
#include "lib/driver/pending_operations.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/atomic.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

class OpenDescriptor {
 public:
  // Has no descriptor yet, and is not open. The one reference is the caller's. Null: no memory.
  static OpenDescriptor* New() noexcept;
  OpenDescriptor(const OpenDescriptor&) = delete;
  OpenDescriptor& operator=(const OpenDescriptor&) = delete;

  // Once, before others know of this: owns `fd` from here on.
  void Open(int fd) noexcept;

  // ---- Any thread that has a reference.

  // False: it is closed.
  bool Acquire() noexcept;
  // Refuses further uses, and ends what is pending with -ECANCELED. Idempotent.
  void Close() noexcept;
  // Until it is closed in the kernel.
  bool is_open() const noexcept {
    // [descriptor/1] acquire: pairs with [descriptor/2]. Whoever sees it closed finds the port free.
    return fd_.load(std::memory_order_acquire) >= 0;
  }
  // Was there a Close(), whatever is still pending? [descriptor/6] acquire: pairs with [descriptor/7].
  bool closing() const noexcept { return (uses_.load(std::memory_order_acquire) & kClosed) != 0; }
  // [descriptor/3] acquire: pairs with [descriptor/4].
  bool was_shut_down() const noexcept { return shut_down_.load(std::memory_order_acquire); }
  void AddRef() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
  void Release() noexcept {
    // [descriptor/5] acq_rel: pairs with itself. What every holder did happens before the destruction.
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  // ---- Any thread that has a use.

  int fd() const noexcept { return fd_.load(std::memory_order_relaxed); }
  // On a virtual thread, before an operation, which is a `what`: from now on its runtime knows of the descriptor.
  void Attach(ParkReason what) noexcept {
    const Backend* const own = CurrentBackend();
    // [descriptor/9] acquire: pairs with [descriptor/10].
    if (own == nullptr || (attached_.load(std::memory_order_acquire) != own && !Several())) [[unlikely]]
      AttachTo(own, what);
  }
  PendingOperations& pending() noexcept { return pending_; }
  // Before shutdown(2) of both directions. [descriptor/4] release: pairs with [descriptor/3].
  void SetShutDown() noexcept { shut_down_.store(true, std::memory_order_release); }
  // The last one, once it is closing, closes it.
  void Leave() noexcept;

  static void* operator new(size_t) = delete;
  static void operator delete(void* memory, size_t size) noexcept { FreeFrame(memory, size); }

 private:
  static constexpr uint32_t kClosed = 1;
  static constexpr uint32_t kUse = 2;

  OpenDescriptor() noexcept = default;
  ~OpenDescriptor() = default;
  void CloseInKernel() noexcept;
  // [descriptor/13] acquire: pairs with [descriptor/14].
  bool Several() const noexcept { return several_.load(std::memory_order_acquire); }
  void AttachTo(const Backend* own, ParkReason what) noexcept;
  // [descriptor/11] acquire: pairs with [descriptor/12].
  bool IsInherited() const noexcept { return forks_.load(std::memory_order_acquire) != ForksSoFar(); }
  void TakeOver() noexcept;

  Atomic<uint32_t> uses_{kClosed};  // relaxed: whoever begins a use knows the rest by the reference
  Atomic<uint32_t> refs_{1};
  Atomic<int> fd_{-1};  // relaxed: it does not change while there is a use, and whoever shares a new one orders it
  Atomic<const Backend*> attached_{nullptr};  // backend_
  Atomic<uint32_t> forks_{ForksSoFar()};
  Atomic<bool> shut_down_{false};
  Atomic<bool> several_{false};  // others came: whoever ends something asks all
  // Written under attach_lock (open_descriptor.cc), before attached_. Its runtime may have ended.
  std::shared_ptr<Backend> backend_;
  PendingOperations pending_;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_OPEN_DESCRIPTOR_H_
