#include "lib/cancel/open_record.h"

#include "lib/cancel/boundary.h"
#include "lib/thread/describe.h"
#include "lib/thread/records.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/check.h"
#include "weft/internal/scope_record.h"

namespace weft::internal {

bool PushRecordSlow(ThreadBlock& thread) noexcept {
  if (thread.state.Observe().unregistered()) {
    RegisterThread(thread);
    // Step 3 of records.h, once more: it may come at any time after the fence. This saves a forked child that opens a
    // scope two locked instructions.
    if (!thread.state.Observe().attention() && !thread.unwinding) return false;
  }
  return LookUnderLock(thread, [&thread] {
    // In a destructor that an unwinding runs, the request may be hidden or delivered by now.
    return thread.unwinding || (thread.state.Observe().requested() && FindTarget(thread).exists);
  });
}

void PopRecordSlow(ThreadBlock& thread) noexcept {
  LookUnderLock(thread, [&thread] {
    // While frames are destroyed the request stays: their target is popped after that. To look for other requests at
    // each record would be O(records) for each.
    if (thread.unwinding || !thread.state.Observe().requested()) return;
    bool left = thread.asked();
    for (Record* at = thread.records.load(std::memory_order_relaxed); at != nullptr && !left; at = at->outer) {
      left = at->kind == Record::Kind::kOwnRequest && static_cast<Boundary*>(at)->requested;
    }
    if (!left) thread.state.ClearRequested();
  });
}

void DieWithScopeOpen(const ThreadBlock& thread) noexcept {
  WEFT_CHECK(false) << DescribeThread(thread)
                    << " ends while a scope that it has opened is still open; a scope is a local "
                    << "of the coroutine that opens it";
  __builtin_unreachable();
}

void DieOutOfOrder(const ThreadBlock& thread) noexcept {
  WEFT_CHECK(false)
      << "a scope or a boundary of virtual thread #" << thread.id
      << " is closed while something that was opened inside it is still open; close them in the reverse order";
  __builtin_unreachable();
}

}  // namespace weft::internal
