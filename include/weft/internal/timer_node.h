// A deadline of whatever waits: a node of the timer wheel. (lib/timer/timer_wheel.h)
#ifndef WEFT_INTERNAL_TIMER_NODE_H_
#define WEFT_INTERNAL_TIMER_NODE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

namespace weft::internal {

class TimerWheel;

// Lies in what waits.
struct TimerNode {
  // Set by the user. Called once when the deadline has passed.
  void (*fire)(TimerNode*) noexcept = nullptr;
  // Set by the user, or null: what `fire` acts on. The wheel fetches it while those before it fire.
  void* subject = nullptr;

  // Set by Insert(), and left so: the wheel that the node was last inserted into, and its deadline, in nanoseconds.
  TimerWheel* wheel = nullptr;
  int64_t deadline_ns = 0;

  // Set by the user. See the wheel: true for timeouts, false for sleeps. Here, it shares a word with what follows.
  bool cancel_waits = false;

 private:
  friend class TimerWheel;
  static constexpr uint16_t kNotArmed = 0xffff;

  // Guarded by the wheel's lock.
  uint16_t slot_ = kNotArmed;  // the list that the node is in
  TimerNode* next_ = nullptr;
  TimerNode* prev_ = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_TIMER_NODE_H_
