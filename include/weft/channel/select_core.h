// What Select() is made of: a SelectWait of virtual threads.
#ifndef WEFT_CHANNEL_SELECT_CORE_H_
#define WEFT_CHANNEL_SELECT_CORE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/channel/select_wait.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {

extern template class SelectWait<ThreadBlock>;

class SelectCore : public SelectWait<ThreadBlock> {
 public:
  using Record = SelectRecord<ThreadBlock>;
  // For await_ready and await_suspend.
  bool Ready(Record* records, int32_t count) noexcept;
  void Suspend(Record* records, int32_t count, AwaitingFrame frame) noexcept;

 private:
  static const WaitKind kWait;
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_SELECT_CORE_H_
