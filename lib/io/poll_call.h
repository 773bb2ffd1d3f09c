// Layer io. How does a virtual thread wait for a descriptor to become ready?
//
//   const int32_t result = co_await PollAwaiter(socket.Use("WaitHangUp"), PollAwaiter::For::kHangUp);   // 0, or -errno
//
// Readiness is what poll(2) says; its errors and ends count as ready.
#ifndef WEFT_LIB_IO_POLL_CALL_H_
#define WEFT_LIB_IO_POLL_CALL_H_

#include <cstdint>

#include "lib/io/call_awaiter.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

// (poll_call.cc)
class PollAwaiter : public CallAwaiter {
 public:
  enum class For : uint8_t { kReadable, kWritable, kHangUp, kProcessEnd };

  PollAwaiter(DescriptorUse use, For wanted) noexcept;

  // Without a wait, and for any number: 0, or -errno; -EAGAIN if it is not ready.
  static int32_t Now(int fd, For wanted) noexcept;

 private:
  static const WaitKind kReadable, kWritable, kHangUp, kProcessEnd;
  static const WaitKind& KindOf(For wanted) noexcept;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_POLL_CALL_H_
