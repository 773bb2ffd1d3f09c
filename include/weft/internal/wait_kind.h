// The kinds of waits: why a virtual thread is parked, and how its wait is taken back.
#ifndef WEFT_INTERNAL_WAIT_KIND_H_
#define WEFT_INTERNAL_WAIT_KIND_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <string>

namespace weft::internal {

class ThreadBlock;

// Why a virtual thread is parked, as dumps and deadlock reports print it.
enum class ParkReason : uint8_t {
  kNone,
  kJoin,
  kNextCompleted,
  kDrain,
  kSleep,
  kYield,
  kEvent,
  kLatch,
  kBarrier,
  kPhaser,
  kExchanger,
  kOnce,
  kSemaphore,
  kMutex,
  kRecursiveMutex,
  kSharedMutex,
  kSharedMutexRead,
  kCondition,
  kReceive,
  kSend,
  kAccept,
  kConnect,
  kReadable,
  kWritable,
  kHangUp,
  kSignal,
  kProcessEnd,
  kForeign,
  kBlocking,
  kThreadEnd,
  kPark,
  kFuture,
  kExecutorPlace,
  kChannelSend,
  kChannelReceive,
  kBroadcast,
  kSelect,
};
const char* ParkReasonName(ParkReason reason) noexcept;

// One kind of wait. Static; a parked thread points to its kind.
struct WaitKind {
  ParkReason reason;
  bool timed;  // it ends by itself, in time
  // Called by a requester that has claimed the parked thread, under the thread's records lock: takes the wait back.
  // True: the wait was still pending, and now nothing will wake the thread for it. False: a wake-up comes.
  bool (*withdraw)(ThreadBlock& thread) noexcept;
  // If the thread is cancelled when the wait ends, the wait counts as cancelled. For joins: the request that cancels
  // the owner also ends its children, and an owner that saw them all ended would take that for the end of its work.
  bool cancel_wins = false;
  // The wait ends with the last child, and cannot be interrupted: its thread is kActive meanwhile, and in no queue.
  bool for_children = false;
  // For reports, while no thread runs: who has what it waits for, like ", held by VirtualThread[#3]". Null: not known.
  std::string (*whose)(const ThreadBlock& thread) = nullptr;
  // When the thread has its turn again, before its frame goes on. True: it has registered, and parks (again).
  bool (*park_again)(ThreadBlock& thread) noexcept = nullptr;

  // For `withdraw`: a wait that cannot be taken back.
  static bool NotWithdrawn(ThreadBlock&) noexcept { return false; }
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_WAIT_KIND_H_
