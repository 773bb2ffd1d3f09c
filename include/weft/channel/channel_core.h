// What Channel<T> is made of: a ChannelState of virtual threads, and why it was closed.
#ifndef WEFT_CHANNEL_CHANNEL_CORE_H_
#define WEFT_CHANNEL_CHANNEL_CORE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "absl/status/status.h"
#include "weft/channel/channel_state.h"
#include "weft/channel/element_ring.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

extern template class ChannelState<ThreadBlock>;

class ChannelCore : public ChannelState<ThreadBlock> {
 public:
  ChannelCore(const ElementType& type, int64_t capacity, bool conflated);
  ~ChannelCore();  // a CHECK if a thread waits

  bool Close(absl::Status why) noexcept;
  bool IsClosed() noexcept;
  absl::Status status() noexcept;

  // For await_suspend. The thread waits, or the outcome is there and others run first.
  void Suspend(Party& party, AwaitingFrame frame) noexcept;
  // An OS thread, which it blocks. On a carrier it is a CHECK.
  void Block(Party& party) noexcept;

  static const SelectableWait<ThreadBlock> kSelect;

 private:
  static const WaitKind kSend, kReceive;

  absl::Status status_;  // guarded by lock(): why it is closed
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_CHANNEL_CORE_H_
