// What a virtual thread has open, innermost first: scopes, and the boundaries at which a cancellation stops.
//
// The records of a thread lie in its own frames and form one stack. Only the thread itself (or the carrier that unwinds it)
// pushes and pops; others, who bring a request to cancel, read. Both under the thread's records lock (thread_block.h).
#ifndef WEFT_INTERNAL_RECORD_H_
#define WEFT_INTERNAL_RECORD_H_

#include <cstdint>

#include "weft/cancel_reason.h"
#include "weft/internal/promise.h"

namespace weft::internal {

class ThreadBlock;

struct Record {
  enum class Kind : uint8_t {
    kScope,    // ScopeRecord: has children
    kTimeout,  // Boundary: stops the request that it makes itself, when its time is up
    kCatch,    // Boundary: stops any request that arrives while it is open
    kShield,   // hides the requests to what is outside from what is inside
  };

  explicit Record(Kind record_kind) noexcept : kind(record_kind) {}
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  Record* outer = nullptr;
  const Kind kind;
};

// Where an unwinding stops. `frame` is the awaiting frame: what it awaits is destroyed, then it goes on.
struct Boundary : Record {
  explicit Boundary(Kind boundary_kind) noexcept : Record(boundary_kind) {}

  PromiseBase* frame = nullptr;  // null: the root of the thread, nothing goes on
  bool requested = false;        // a request was made to this boundary itself; guarded by the records lock
  bool reached = false;          // an unwinding ended here; the thread's own
  CancelReason reason;           // of the request, and then of the unwinding
};

// A record with children: other virtual threads, which must have ended before it is popped. Others call it from the moment it is pushed
// until it is popped, both of which happen while an object of a class that derives from it is being made or destroyed; so it has a
// table of its own instead of virtual functions, which change at those moments.
class ScopeRecord : public Record {
 public:
  // Any thread, under the owner's records lock. Starts no more children and asks those there are to end. Idempotent.
  void RequestShutdown(const CancelReason& reason) noexcept { operations_.request_shutdown(*this, reason); }
  // Carries a shutdown on to at most `max` children; false if there are more. Called by whoever drains the runtime's cancel
  // queue, until it returns true, which is the last touch.
  bool ShutDownSome(int max) noexcept { return operations_.shut_down_some(*this, max); }
  // The owner, parking: arranges that it is woken when the last child has ended; false if that is so already.
  bool AwaitDrained() noexcept { return operations_.await_drained(*this); }
  // For dumps: calls visit(child, argument) for every child that has not ended, under the scope's lock.
  void ForEachChild(void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept {
    operations_.for_each_child(*this, visit, argument);
  }

  ThreadBlock* const owner;
  ScopeRecord* next_in_cancel_queue = nullptr;

 protected:
  struct Operations {
    void (*request_shutdown)(ScopeRecord& scope, const CancelReason& reason) noexcept;
    bool (*shut_down_some)(ScopeRecord& scope, int max) noexcept;
    bool (*await_drained)(ScopeRecord& scope) noexcept;
    void (*for_each_child)(ScopeRecord& scope, void (*visit)(ThreadBlock& child, void* argument), void* argument) noexcept;
  };
  ScopeRecord(ThreadBlock* owning_thread, const Operations& operations) noexcept
      : Record(Kind::kScope), owner(owning_thread), operations_(operations) {}
  ~ScopeRecord() = default;

 private:
  const Operations& operations_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_RECORD_H_
