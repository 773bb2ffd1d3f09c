// The timer of a Deadline, in whatever waits for it. (lib/timer/wall_timers.h)
#ifndef WEFT_INTERNAL_DEADLINE_TIMER_H_
#define WEFT_INTERNAL_DEADLINE_TIMER_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/list.h"
#include "weft/internal/timer_node.h"

namespace weft::internal {

class WallTimers;
struct WallTag;

// The user sets `subject`, `cancel_waits` and `on_time`, and leaves `fire` alone.
struct DeadlineTimer : TimerNode, ListNode<WallTag> {
  // Called once when the deadline has come. Like TimerNode::fire.
  void (*on_time)(DeadlineTimer*) noexcept = nullptr;

 private:
  friend class WallTimers;
  // Null: it waits for a time of the monotonic clock. Constant while it is armed.
  WallTimers* wall_timers_ = nullptr;
  int64_t wall_ns_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DEADLINE_TIMER_H_
