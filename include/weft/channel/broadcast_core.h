// A broadcast without the type of its values: how many were sent, and who waits for the next one.
#ifndef WEFT_CHANNEL_BROADCAST_CORE_H_
#define WEFT_CHANNEL_BROADCAST_CORE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "absl/status/status.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

class BroadcastCore;

// A subscriber: how many of the values it has seen or missed.
struct BroadcastPosition {
  BroadcastPosition(BroadcastCore* of, uint64_t seen_until) noexcept : core(of), seen(seen_until) {}
  // A copy does not wait.
  BroadcastPosition(const BroadcastPosition& other) noexcept : BroadcastPosition(other.core, other.seen) {}
  BroadcastPosition& operator=(const BroadcastPosition& other) noexcept {
    core = other.core;
    seen = other.seen;
    return *this;
  }

  BroadcastCore* core;
  uint64_t seen;
  int32_t waits = 0;  // its waits, and cases of Select(), that are not over. Guarded by the core's lock
};

class BroadcastCore {
 public:
  BroadcastCore() = default;
  BroadcastCore(const BroadcastCore&) = delete;
  BroadcastCore& operator=(const BroadcastCore&) = delete;
  ~BroadcastCore();  // a CHECK if a thread waits

  // Calls put(number) under the lock, with the number of the value, from 0. False: it is closed, or put() has returned
  // false.
  template <class Put>
  bool Send(Put put) noexcept {
    WaitNodes woken;
    {
      LockGuard guard(waiters_.lock);
      if (closed_ || !put(sent_)) return false;
      Sent(woken);
    }
    WakeAll(woken);
    return true;
  }
  bool Close(absl::Status why) noexcept;
  absl::Status status() noexcept;
  bool IsClosed() noexcept;
  uint64_t sent() noexcept;
  // Calls take(sent) under the lock, with how many were sent. A wait at `position` is over.
  template <class Take>
  void Look(BroadcastPosition& position, Take take) noexcept {
    LockGuard guard(waiters_.lock);
    End(position, position.waits);
    take(sent_);
  }

  // For the awaiter.
  static bool Ready(const BroadcastPosition& position) noexcept;
  static bool Suspend(BroadcastPosition& position, AwaitingFrame frame) noexcept;
  static const SelectableWait<ThreadBlock> kSelect;  // of a BroadcastPosition

 private:
  void Sent(WaitNodes& woken) noexcept;
  static void WakeAll(WaitNodes& woken) noexcept;
  bool HasFor(const BroadcastPosition& position) const noexcept { return sent_ > position.seen || closed_; }
  void Begin(BroadcastPosition& position) noexcept {
    ++position.waits;
    ++waits_;
  }
  void End(BroadcastPosition& position, int32_t waits) noexcept {
    position.waits -= waits;
    waits_ -= waits;
  }
  static const WaitKind kWait;

  Waiters waiters_;
  // ---- Guarded by waiters_.lock.
  int64_t waits_ = 0;  // not over: of the threads in waiters_, and of those that were woken and have yet to look
  uint64_t sent_ = 0;
  bool closed_ = false;
  absl::Status status_;
};

}  // namespace weft::internal

#endif  // WEFT_CHANNEL_BROADCAST_CORE_H_
