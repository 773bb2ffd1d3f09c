// Layer driver. What does the epoll backend know about a file descriptor?
//
// One record for each number, at an address that never changes, with two directions: in (receive, accept) and out
// (send, connect). A direction is Go's pollDesc with a queue in place of a single waiter, for several virtual threads
// may accept on one listener. What it can be in:
//
//   waiters   ready    meaning
//   none      false    nothing is known: whoever wants something tries the call
//   none      true     an edge came that no waiter took: whoever is about to wait tries the call once more
//   some      false    the call gave EAGAIN after the last edge; the next edge tries it again
//
// Edges are hints and nothing else: what they cause is one more try. This is why no generation number is needed against
// a descriptor that is closed and its number given out anew. An event of the old one, fetched before Forget() and
// looked at after it, tries the new one's call too early, and that says EAGAIN.
//
// Cost: 64 bytes for each number up to the highest in use, in chunks of 64 KiB that live as long as the backend.
#ifndef WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_
#define WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_

#include <cstddef>

#include "lib/driver/request_facts.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/operation.h"

namespace weft::internal {

// The operations that wait on one direction of a descriptor, oldest first, through Operation::next and ::link.
struct Direction {
  Lock lock;
  // Cleared before a try, without the lock; read before a waiter is added, and set by an edge, with it.
  Atomic<bool> ready{false};
  Operation* first = nullptr;  // lock
  Operation* last = nullptr;   // lock

  // Before a call that may say EAGAIN. An edge that comes after this is one that the call may have missed.
  void Expect() noexcept {
    // [edge/1] acq_rel: pairs with [edge/2]. An exchange, which is over before the call is made: a plain store could
    // overwrite the notice of an edge that came after the call.
    ready.exchange(false, std::memory_order_acq_rel);
  }

  // All with the lock held.
  void Push(Operation& op) noexcept {
    op.next = nullptr;
    op.link = last;
    (last == nullptr ? first : last->next) = &op;
    last = &op;
  }
  void Remove(Operation& op) noexcept {
    (op.link == nullptr ? first : op.link->next) = op.next;
    (op.next == nullptr ? last : op.next->link) = op.link;
    op.next = nullptr;
    op.link = nullptr;
  }
};

struct alignas(kCacheLineSize) Descriptor {
  Direction in;
  Direction out;
  Lock registration;
  Atomic<bool> registered{false};  // relaxed: written with `registration` held, and a hint without

  Direction& Of(Flow flow) noexcept { return flow == Flow::kIn ? in : out; }
};
static_assert(sizeof(Descriptor) == kCacheLineSize);

class DescriptorTable {
 public:
  // As Linux's own default limit of fs.nr_open is 2^20, four times as many as a process is likely to be allowed.
  static constexpr size_t kMaxDescriptors = size_t{1} << 22;

  DescriptorTable() noexcept = default;
  DescriptorTable(const DescriptorTable&) = delete;
  DescriptorTable& operator=(const DescriptorTable&) = delete;
  ~DescriptorTable();

  // Any thread. The record of `fd`; null if the number is out of range or there is no memory for it.
  Descriptor* Get(int fd) noexcept;

  // Any thread. Null also if nobody has asked for a record of that chunk yet.
  Descriptor* Find(int fd) noexcept;

 private:
  static constexpr size_t kChunkSize = 1024;
  static constexpr size_t kMaxChunks = kMaxDescriptors / kChunkSize;

  Descriptor* Allocate(size_t chunk) noexcept;

  Atomic<Descriptor*> chunks_[kMaxChunks] = {};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_
