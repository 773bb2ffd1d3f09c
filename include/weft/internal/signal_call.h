// Awaits a signal.
#ifndef WEFT_INTERNAL_SIGNAL_CALL_H_
#define WEFT_INTERNAL_SIGNAL_CALL_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <utility>

#include "weft/internal/descriptor.h"
#include "weft/internal/into_task.h"
#include "weft/internal/operation_awaiter.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

class SignalSubscription;

// (lib/process/signal.cc)
class SignalCall : public OperationAwaiter, public GivesWhenAwaited<int> {
 public:
  SignalCall(DescriptorUse use, SignalSubscription& subscription) noexcept;
  SignalCall(SignalCall&&) noexcept = default;  // before it is awaited

  int await_resume() const { return OperationAwaiter::await_resume(); }

 private:
  static const WaitKind kSignal;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SIGNAL_CALL_H_
