// NoSuspension: the virtual thread that makes one must not suspend while it lives. A debug build checks that.
//
//   std::lock_guard guard(table_mutex);   // the OS thread's: whoever wants it blocks a carrier
//   weft::NoSuspension holds;
//   Insert(row);                          // a co_await that waits is a CHECK, here and in whatever is called
//
// For what belongs to an OS thread, or must be short: a std::mutex, which would block every carrier that wants it, and
// which another OS thread might then unlock; what a C library keeps in a `thread_local`; a reference that the next
// thread may invalidate. To hold a lock over a co_await use weft::Mutex, and to stay on one OS thread weft::Pin.
//
// The CHECK comes when the thread suspends: in a wait that parks, a Yield(), a join or an All(), foreign code that
// waits, or a scope's destructor that waits for children. It names where the NoSuspension was made and, except in a
// destructor, what the thread waits for; and where, if that is a co_await. A co_await that is ready does not suspend,
// unless the thread has used up its turn (time.h). A thread that is cancelled at a wait is unwound, and does not
// suspend, unless a scope of the same frame, or of an inner one, has children: it waits for these first, which is a
// CHECK too.
//
// Each thread has its own: a thread that it starts may wait. To await Blocking() is to suspend. On an OS thread that
// runs no virtual thread it does nothing.
//
// Lifetime: keep it in a frame of the thread that makes it.
// Debug builds are those of Weft's own sources without NDEBUG. In others it does nothing.
// Cost: two calls, which do nothing unless it is a debug build. There a suspension looks at one pointer more, and a
// join notes its place. (The idea is that of Linux's might_sleep(), and of Rust's lint await_holding_lock.)
#ifndef WEFT_NO_SUSPENSION_H_
#define WEFT_NO_SUSPENSION_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

#include "weft/internal/list.h"

namespace weft {

namespace internal {

// In the list of the carrier whose thread must not suspend.
struct NoSuspensionTag;
struct NoSuspensionNode : ListNode<NoSuspensionTag> {
  uint64_t thread = 0;
  std::source_location made_at;
};

}  // namespace internal

class [[nodiscard("give the NoSuspension a name: it lasts to the end of its block")]] NoSuspension {
 public:
  explicit NoSuspension(std::source_location where = std::source_location::current()) noexcept;
  NoSuspension(const NoSuspension&) = delete;
  NoSuspension& operator=(const NoSuspension&) = delete;
  ~NoSuspension();

 private:
  internal::NoSuspensionNode node_;
};

}  // namespace weft

#endif  // WEFT_NO_SUSPENSION_H_
