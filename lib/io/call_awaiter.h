// Layer io. How does a virtual thread make a call that would block?
//
//   struct Reading : CallAwaiter {
//     Reading(DescriptorUse use, MutableBuffer buffer) noexcept
//         : CallAwaiter(IoRequest::CallWhenReadable({&Make, this}), std::move(use), kReceive), buffer_(buffer) {}
//     static int32_t Make(int fd, void* data) noexcept;   // read(2), with what `data` says
//     ...
//   };
//   const int32_t result = co_await Reading(socket.Use("Read()"), buffer);
//
// The descriptor is in non-blocking mode. The call is made at once, on the caller's carrier; if it says -EAGAIN, the
// thread is parked, and the driver makes the call again when the descriptor is ready. (IoRequest::Call) What the call
// produced is delivered, also to a thread that is cancelled meanwhile.
#ifndef WEFT_LIB_IO_CALL_AWAITER_H_
#define WEFT_LIB_IO_CALL_AWAITER_H_

#include <utility>

#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/operation_awaiter.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

// Does not move: the request points to what its maker has.
class CallAwaiter : public OperationAwaiter {
 public:
  CallAwaiter(const CallAwaiter&) = delete;
  CallAwaiter& operator=(const CallAwaiter&) = delete;

 protected:
  CallAwaiter(const IoRequest& request, DescriptorUse use, const WaitKind& kind) noexcept
      : OperationAwaiter(request, std::move(use), kind) {}
};

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_CALL_AWAITER_H_
