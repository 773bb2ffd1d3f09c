// Layer driver. What does the epoll backend know about a file descriptor?
//
// One record for each number, at an address that never changes, with two directions: in (receive, accept) and out
// (send, connect). A direction is like Go's pollDesc, with a queue in place of a single waiter, because several virtual
// threads may accept on one listener. (direction.h)
//
// Cost: 64 bytes for each number up to the highest in use, in chunks of 64 KiB that live as long as the backend.
#ifndef WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_
#define WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "lib/driver/epoll/direction.h"
#include "lib/driver/epoll/emptied.h"
#include "lib/driver/request_facts.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

struct alignas(kCacheLineSize) Descriptor {
  Direction in;
  Direction out;
  Emptied emptied;
  Lock registration;
  Atomic<uint8_t> watched{0};  // the flows. relaxed: written with `registration` held, and a hint without

  static constexpr uint8_t kIn = 1;
  static constexpr uint8_t kOut = 2;
  bool Watches(Flow flow) const noexcept {
    // relaxed: see above.
    return (watched.load(std::memory_order_relaxed) & (flow == Flow::kIn ? kIn : kOut)) != 0;
  }

  Direction& Of(Flow flow) noexcept { return flow == Flow::kIn ? in : out; }
};
static_assert(sizeof(Descriptor) == kCacheLineSize);

class DescriptorTable {
 public:
  // Four times Linux's default fs.nr_open (2^20), which a process is unlikely to exceed.
  static constexpr size_t kMaxDescriptors = size_t{1} << 22;

  DescriptorTable() noexcept = default;
  DescriptorTable(const DescriptorTable&) = delete;
  DescriptorTable& operator=(const DescriptorTable&) = delete;
  ~DescriptorTable();

  // Any thread. The record of `fd`; null if the number is out of range or there is no memory for it.
  Descriptor* Get(int fd) noexcept;

  // Any thread. Null also if nobody has asked for a record of that chunk yet.
  //
  // What the caller did before it got null happens before what those do who get a record of that chunk: like this,
  //   the closer              an operation that is about to wait
  //   1. sets `closed`        3. makes the chunk
  //   2. finds no chunk       4. looks at `closed`
  // either 2 finds the chunk, or 4 sees what 1 has set.
  Descriptor* FindInOrder(int fd) noexcept;

  // Any thread. The same, if it does not matter what the caller did before.
  Descriptor* Find(int fd) noexcept {
    const size_t number = static_cast<size_t>(fd);
    if (fd < 0 || number >= kMaxDescriptors) return nullptr;
    // [chunk/1] acquire: pairs with [chunk/2]. Weaker, the records could be seen before they are constructed.
    Descriptor* const chunk = chunks_[number / kChunkSize].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk[number % kChunkSize];
  }

 private:
  static constexpr size_t kChunkSize = 1024;
  static constexpr size_t kMaxChunks = kMaxDescriptors / kChunkSize;

  Descriptor* Allocate(size_t chunk) noexcept;

  Atomic<Descriptor*> chunks_[kMaxChunks] = {};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_DESCRIPTOR_TABLE_H_
