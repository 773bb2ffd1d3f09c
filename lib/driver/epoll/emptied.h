// Layer driver. When does a receive know without a call that it would block?
//
// A receive of TCP that gets fewer bytes than it had room for has taken all there was. Until the next edge of the
// descriptor there is nothing, and the next receive becomes a waiter at once. It saves each request of a server the
// call that says EAGAIN, a tenth of an echo.
//
//   A receive                                        Whoever has fetched an edge (direction.h)
//   1. reads the number of edges                     4. makes the waiters' calls; a short one emptied it
//   2. if it was emptied at that number, makes no    5. counts the edge
//      call; else makes it; if that was short,       6. if 4 was short: emptied at this number
//      it was emptied at that number
//   3. if it has not ended, with the lock: if the
//      number is another one, makes the call;
//      then becomes a waiter
//
// Why nothing is missed. What arrives after a short call has an edge of its own, which is fetched after that call. If
// it was counted before 1, the number is not the one that 2 compares with, and the call is made. If it is counted
// between 1 and 3, 3 makes the call. If it is counted after 3, 4 finds a waiter. The number may be stored late, and by
// several threads: it says which edge it speaks of, so an old one only costs a call.
//
// What is not an arrival of bytes must not be waited for: the end of the stream, an error, and the bytes behind an
// urgent one, before which a receive stops. An edge that tells of one of these ends the trust in short receives, before
// it is counted; what comes after a short receive has an edge, as above. Unix sockets end a receive where descriptors
// or credentials change, so they are never trusted. (Tokio does the same for all sockets, and without that care.)
//
// All orders are relaxed: 1 and 5 are ordered by [edge/1] and [edge/2], and 3 by the lock.
#ifndef WEFT_LIB_DRIVER_EPOLL_EMPTIED_H_
#define WEFT_LIB_DRIVER_EPOLL_EMPTIED_H_

#include <cstddef>
#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class Emptied {
 public:
  // Before the descriptor is watched: is a short receive to be trusted?
  void Reset(bool trusted) noexcept {
    // relaxed: nobody waits on the descriptor yet; see the preface for the rest.
    at_.store(0, std::memory_order_relaxed);
    trusted_.store(trusted, std::memory_order_relaxed);  // relaxed: as above
  }
  // Before an edge is counted that tells of something else than bytes.
  void Distrust() noexcept {
    // relaxed: [edge/2] follows.
    trusted_.store(false, std::memory_order_relaxed);
  }

  // Is there nothing, if `edges` is the number of edges?
  bool At(uint32_t edges) const noexcept {
    // relaxed: [edge/1] came before, and the lock decides.
    return at_.load(std::memory_order_relaxed) == edges + 1 && trusted_.load(std::memory_order_relaxed);
  }
  // After a short receive. `edges`: as they were before its call, or, of the call of one who waited, as they are when
  // the edge that caused it has been counted.
  void Note(uint32_t edges) noexcept {
    // relaxed: what is stored late, or over something newer, only costs a call.
    at_.store(edges + 1, std::memory_order_relaxed);
  }
  static bool WasShort(const Operation& op) noexcept {
    return op.request.code == IoRequest::Code::kReceive && op.result > 0 &&
           static_cast<size_t>(op.result) < op.request.transfer.length;
  }

 private:
  Atomic<uint32_t> at_{0};  // the number of edges, and one; 0: not known. After 2^32 - 1 edges a note is lost
  Atomic<bool> trusted_{false};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_EMPTIED_H_
