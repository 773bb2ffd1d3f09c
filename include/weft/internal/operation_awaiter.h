// Awaits one operation on an open descriptor.
#ifndef WEFT_INTERNAL_OPERATION_AWAITER_H_
#define WEFT_INTERNAL_OPERATION_AWAITER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <utility>

#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

// A cancelled operation is awaited to its end, so its buffer may lie in the awaiting frame. On a descriptor that is
// closed, before or meanwhile, it ends with EBADF.
class [[nodiscard("co_await the operation")]] OperationAwaiter {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  // Before it is awaited.
  OperationAwaiter(OperationAwaiter&& other) noexcept
      : OperationAwaiter(other.operation_.request, std::move(other.operation_.use), other.kind_) {}

  bool await_ready() const noexcept {
    may_go_on_ = AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return Suspend({frame.promise(), where});
  }
  // As Operation::result.
  int32_t await_resume() const noexcept { return operation_.result; }

 protected:
  OperationAwaiter(const IoRequest& request, DescriptorUse use, const WaitKind& kind) noexcept
      : kind_(kind), operation_(request, std::move(use)) {}
  // Before it is awaited.
  IoRequest& request() noexcept { return operation_.request; }

  // For a WaitKind.
  static bool Withdraw(ThreadBlock& thread) noexcept;
  static const WaitKind kReceive, kSend, kAccept, kConnect;

 private:
  struct Pending : Operation {
    Pending(const IoRequest& request, DescriptorUse used) noexcept : Operation(request), use(std::move(used)) {}

    DescriptorUse use;  // until it has ended
    ThreadBlock* thread = nullptr;
  };

  bool Suspend(AwaitingFrame frame) noexcept;
  bool Start() noexcept;
  static void Complete(Operation& operation) noexcept;

  const WaitKind& kind_;
  Pending operation_;
  mutable bool may_go_on_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_OPERATION_AWAITER_H_
