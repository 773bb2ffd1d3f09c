// VirtualThread: a handle to a virtual thread: its id, its name, its state.
//
//   std::cout << weft::VirtualThread::Current();   // VirtualThread[#25,loader]/runnable@carrier-3
//
// A virtual thread is a root coroutine and whatever that awaits. A scope's Fork() (scope.h), All() (all.h) or Run()
// (runtime.h) starts it. It is mounted on one carrier after another.
//
// Copying a handle copies the reference. A handle may outlive the thread; it then keeps only the id and the name. Any
// OS thread may call the members. The state of another thread may have changed by the time it is read.
//
// Cost. The first handle to a thread allocates a small record, which all later handles share. An id alone costs
// nothing.
#ifndef WEFT_VIRTUAL_THREAD_H_
#define WEFT_VIRTUAL_THREAD_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

class VirtualThread {
 public:
  enum class State : uint8_t {
    kRunnable,      // running, or in a queue for a carrier
    kWaiting,       // parked until another thread wakes it
    kTimedWaiting,  // parked until a time
    kTerminated,
  };

  // The virtual thread that calls. Outside of virtual threads it is a CHECK.
  static VirtualThread Current();
  // False on an OS thread that runs no virtual thread, and within callbacks of the runtime.
  static bool HasCurrent() noexcept { return internal::CurrentThread() != nullptr; }

  VirtualThread(const VirtualThread& other) noexcept : identity_(other.identity_) { identity_->AddRef(); }
  VirtualThread& operator=(VirtualThread other) noexcept {
    std::swap(identity_, other.identity_);
    return *this;
  }
  ~VirtualThread() { identity_->Release(); }

  uint64_t id() const noexcept { return identity_->id; }  // unique in its runtime, never reused, from 1
  // Empty if it has none. Valid as long as the handle.
  std::string_view name() const noexcept { return identity_->name; }
  State state() const noexcept;
  // The index of the carrier that it is mounted on, or -1.
  int carrier() const noexcept;

  // "VirtualThread[#25,name]/runnable@carrier-3"; without a name "VirtualThread[#25]/waiting".
  std::string ToString() const;

  friend bool operator==(const VirtualThread& a, const VirtualThread& b) noexcept { return a.identity_ == b.identity_; }
  friend std::ostream& operator<<(std::ostream& out, const VirtualThread& thread) { return out << thread.ToString(); }

 private:
  explicit VirtualThread(internal::ThreadIdentity& identity) noexcept : identity_(&identity) { identity_->AddRef(); }

  internal::ThreadIdentity* identity_;
};

}  // namespace weft

#endif  // WEFT_VIRTUAL_THREAD_H_
