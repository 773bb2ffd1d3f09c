// How does a virtual thread open and close a scope or a boundary?
//
// By the records protocol (records.h). If its state word asks for attention it takes the slow way: it enters itself in
// its scope's list, waits until no other thread walks its records, and finds out whether it is cancelled.
#ifndef WEFT_LIB_CANCEL_OPEN_RECORD_H_
#define WEFT_LIB_CANCEL_OPEN_RECORD_H_

#include "lib/thread/records.h"
#include "weft/internal/record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

// Called by the thread itself. Push returns whether the thread is cancelled at that moment.
WEFT_RARE bool PushRecordSlow(ThreadBlock& thread) noexcept;
WEFT_RARE void PopRecordSlow(ThreadBlock& thread) noexcept;
[[noreturn, gnu::cold]] void DieOutOfOrder(const ThreadBlock& thread) noexcept;
[[noreturn, gnu::cold, gnu::noinline]] void DieWithScopeOpen(const ThreadBlock& thread) noexcept;

inline bool PushRecord(ThreadBlock& thread, Record& record) noexcept {
  if (PublishPush(thread, record) || thread.unwinding) [[unlikely]]
    return PushRecordSlow(thread);
  return false;
}

// Returns true if another thread had looked at the records before, or was about to.
// `record` is the innermost of the thread: the caller has looked.
inline bool PopInnermost(ThreadBlock& thread, Record& record) noexcept {
  if (!PublishPop(thread, record)) [[likely]]
    return false;
  PopRecordSlow(thread);
  return true;
}

inline bool PopRecord(ThreadBlock& thread, Record& record) noexcept {
  if (thread.records.load(std::memory_order_relaxed) != &record) [[unlikely]]
    DieOutOfOrder(thread);
  return PopInnermost(thread, record);
}

// At the end of a thread: everything that its frames opened must be closed.
inline void CheckNothingOpen(const ThreadBlock& thread) noexcept {
  if (thread.records.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
    DieWithScopeOpen(thread);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_CANCEL_OPEN_RECORD_H_
