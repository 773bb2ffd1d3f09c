// What Select() is made of: a SelectWait of virtual threads.
#ifndef WEFT_CHANNEL_SELECT_CORE_H_
#define WEFT_CHANNEL_SELECT_CORE_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <source_location>

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
  bool Suspend(Record* records, int32_t count, AwaitingFrame frame) noexcept;

 private:
  static bool LookOrPark(ThreadBlock& self) noexcept;
  static const WaitKind kWait;
  static const WaitKind kBefore;

  std::source_location where_;  // if the thread lets others run first
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_SELECT_CORE_H_
