// In which order do threads take locks, and can that end in a deadlock? For debug builds (weft/sync/mutex.h says what
// they report); other builds call none of this.
//
// A thread that holds lock 1 and locks lock 2, by a call that may wait, makes an edge from 1 to 2, with the two places.
// If a path led from 2 to 1 before, the order is inverted: one thread for each edge of the path, and this thread, can
// each hold a lock and wait for the next one. That is reported, whether they ever do so or not. (The idea is that of
// Linux's lockdep, Abseil's GraphCycles and ThreadSanitizer.)
//
// Nobody tells this table when a lock is given back, be it by a destructor, by another thread, or to a condition. The
// table keeps the last holder of each lock. So a thread finds the locks that it may still hold, and each of these says
// itself whether the thread does (`LockState::holder`, `since`, `passed_on`). A lock that was given back, or whose
// guard was moved, makes no edge, and the thread forgets it. In the child of a fork the table is empty.
//
//   what                                       does
//   NoteWanted: before a wait for it           makes the edges from the locks that the thread holds, and reports
//   NoteHeld: the thread has it                makes the thread its last holder
//   ForgetOrderOf: it is destroyed             drops it with its edges: another lock may come to lie there
//
// An edge needs a wait for that lock alone: TryLock() and Select() make none to the lock that they take. Their guards,
// and those of timed locks, are moved before the user gets them: so these locks do not count as held. Edges to a timed
// lock are made, too, but name the line in Weft that awaits it. A reader of a SharedMutex waits like others, but does
// not own it: it makes edges to it, and none from it. If a wait for a condition is cancelled, or its time is up, and
// another thread has had the lock meanwhile, the lock does not count as held until it is locked anew.
//
// Who may call: the thread that takes or destroys the lock. It must hold no internal lock.
//
// Bounds. 65,536 locks at a time and 65,536 edges; that is about 13 MiB at most. What does not fit, or finds no memory,
// is not noted, and so is not reported. None of this throws.
// Cost. A global lock for each note; the lock of each lock that the thread holds; an allocation for each new lock and
// for each new edge. For a new edge, also a search backwards from its start.
//
// Rejected: absl::flat_hash_map for the table. It throws if there is no memory (without exceptions it ends the
// program), and whoever links a plain archive of Weft would need four libraries more for something that a release build
// never calls. A CHECK instead of a line: with a third lock around both, either order is safe.
#ifndef WEFT_LIB_SYNC_LOCK_ORDER_H_
#define WEFT_LIB_SYNC_LOCK_ORDER_H_

#include <source_location>

#include "weft/internal/thread_block.h"
#include "weft/sync/lock_state.h"

namespace weft::internal {

// `self`: the calling thread; null for an OS thread. `ordered` of the lock is set.
void NoteWanted(LockState<ThreadBlock>& lock, std::source_location where, const ThreadBlock* self) noexcept;
void NoteHeld(LockState<ThreadBlock>& lock, const ThreadBlock* self) noexcept;
// Nobody uses it any more.
void ForgetOrderOf(LockState<ThreadBlock>& lock) noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_SYNC_LOCK_ORDER_H_
