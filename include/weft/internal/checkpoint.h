// A checkpoint that waits for nothing: it ends a thread that is cancelled, and lets others run when its turn is over.
#ifndef WEFT_INTERNAL_CHECKPOINT_H_
#define WEFT_INTERNAL_CHECKPOINT_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <source_location>

#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

class CheckpointAwaiter {
 public:
  using WeftAwaitable = void;
  bool await_ready() const noexcept { return AtCheckpoint(); }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) const noexcept {
    Suspend({frame.promise(), where});
  }
  void await_resume() const noexcept {}

  // For await_suspend, where there is nothing to wait for and AtCheckpoint() has said no.
  static void Suspend(AwaitingFrame frame) noexcept {
    if (EnterWait(frame, kWait, nullptr)) YieldInstead();
  }

 private:
  static constexpr WaitKind kWait = {ParkReason::kYield, /*timed=*/false, nullptr};
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CHECKPOINT_H_
