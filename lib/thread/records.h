// How can other threads walk the scopes and boundaries that a virtual thread has open, while it opens and closes them
// without a lock?
//
// A thread keeps a stack of records in its own frames (record.h); `records` points to the innermost. Only the owner of
// the thread pushes and pops (the thread itself, the carrier that unwinds it, the last child of its join), at every
// scope and at every boundary. Others walk the stack seldom, to bring a request or to write a report. They must never
// meet a record that was freed, and no record may be missed by a request. The owner pays for this with one store and
// one load; the walkers pay for the rest.
//
//   the thread                                          a walker
//   1. stores `records`: the record that it pushes,     4. takes records_lock
//      or the one outside of the record that it pops    5. sets a flag in the state word: requested, or watched
//   2. LightFence(), [records/4] or [records/5]         6. HeavyFence(), [records/6], [records/7] or [records/8]
//   3. loads the state word; if a flag is set, takes    7. loads `records`, and walks
//      records_lock once before it goes on              8. takes `watched` down; gives the lock back
//
// The fence at 6 is forced on the thread at one point of its program. The fence at 2 keeps 1 before 3, so that point
// comes before 3 or after 1:
//   * before 3: the thread sees the flag, and waits at the lock until the walk is over. What it popped is freed only
//     after that. What it pushed is looked at under the lock, when the request is there to be found.
//   * after 1: the walker sees the store. It does not meet what was popped, and it does meet what was pushed.
//
// A walker leaves the fence out where the thread is known to see the flag:
//   * The thread was asleep at 5. What it did before it parked happens before 5, by [thread/1]; and it sees the flag
//     before it runs on, since it is woken by a later change of the same word.
//   * `requested` was set already. Whoever set it forced the fence under the same lock, and only the thread takes the
//     flag down, under that lock, by a read-modify-write that shows it what has been set meanwhile.
//   * WatchEach() has forced the fence after it set `watched`, and `watched` is still there at 5.
// WatchEach() sets its flag, and forces the fence, before it takes the lock. Two rules make that enough. No two calls
// of it run at once for one thread: the lock of the thread's scope sees to that. And what it calls for each thread
// leaves the thread requested for good, so that a walker who watches at the same time loses nothing by the Unwatch() at
// its end. The other walker's Unwatch() may take the flag of WatchEach() down, but does so under the lock: then the
// flag is missing at 5, and the fence is forced once more.
//
// Memory ordering. What a record holds when it is pushed happens before what a walker does after 7. What a walker does
// happens before the thread frees what it has walked.
//
// Cost: for the thread a store, a load and a branch. For a walker a lock, and a HeavyFence() if the thread was running.
//
// These are templates because the model checker runs them with threads and records of its own (tests/model).
#ifndef WEFT_LIB_THREAD_RECORDS_H_
#define WEFT_LIB_THREAD_RECORDS_H_

#include <atomic>
#include <concepts>
#include <mutex>

#include "lib/base/fence.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/internal/thread_state.h"

namespace weft::internal {

template <class Thread>
concept HasRecords = requires(Thread& thread) {
  thread.records.load(std::memory_order_relaxed);  // Atomic<Record*>, written by the owner; null: nothing is open
  { thread.records_lock } -> std::same_as<Lock&>;
  { thread.state } -> std::same_as<ThreadState&>;
};

// ---- The owner of the thread. Steps 1 to 3.

// True: a flag is set, and the thread calls LookUnderLock() before it goes on.
template <HasRecords Thread, class Record>
[[nodiscard]] inline bool PublishPush(Thread& thread, Record& record) noexcept {
  record.outer = thread.records.load(std::memory_order_relaxed);  // relaxed: only the owner writes it
  // [records/1] release: pairs with [records/2]. A walker that loads the record sees what it holds.
  thread.records.store(&record, WEFT_ORDER("records/1", std::memory_order_release));
  // [records/4] light: pairs with [records/6], [records/7] and [records/8].
  LightFence(WEFT_ORDER("records/4", std::memory_order_seq_cst));
  return thread.state.Observe().attention();
}

// `record` is the innermost. True: as above.
template <HasRecords Thread, class Record>
[[nodiscard]] inline bool PublishPop(Thread& thread, Record& record) noexcept {
  // [records/3] release: pairs with [records/2]. A walker that loads the next record outside sees what that one holds.
  thread.records.store(record.outer, WEFT_ORDER("records/3", std::memory_order_release));
  // [records/5] light: pairs with [records/6], [records/7] and [records/8].
  LightFence(WEFT_ORDER("records/5", std::memory_order_seq_cst));
  return thread.state.Observe().attention();
}

// Waits until no walk is under way, and returns look(), called under the lock. Also for a thread that is only watched,
// because WatchEach() makes no further fence. Either that walk is over, and `look` sees what it has requested; or it
// comes later, and sees what was pushed or popped.
template <HasRecords Thread, class Look>
inline auto LookUnderLock(Thread& thread, Look look) noexcept {
  std::lock_guard guard(thread.records_lock);
  return look();
}

// ---- Walkers. Steps 4 to 8.

// Under the lock, after one of those below.
template <HasRecords Thread>
inline auto* InnermostRecord(const Thread& thread) noexcept {
  // [records/2] acquire: pairs with [records/1] and [records/3].
  return thread.records.load(WEFT_ORDER("records/2", std::memory_order_acquire));
}

enum class FencePassed { kNo, kByWatchEach };

// Under the lock, after the request was written to where the thread looks for it: sets `requested`, and makes sure that
// the thread sees it. `passed`: whether WatchEach() has called the caller.
template <HasRecords Thread>
inline void AnnounceRequest(Thread& thread, FencePassed passed) noexcept {
  const ThreadState::Snapshot before = thread.state.Request();
  if (before.asleep() || before.requested()) return;
  if (passed == FencePassed::kByWatchEach && before.watched()) return;
  // [records/6] heavy: pairs with [records/4] and [records/5].
  HeavyFence(WEFT_ORDER("records/6", std::memory_order_seq_cst));
}

// While it lives, the records of a thread are not freed, and the thread does not end. For walkers that only read.
template <HasRecords Thread>
class RecordsWatch {
 public:
  explicit RecordsWatch(Thread& thread) noexcept : thread_(thread) {
    thread.records_lock.lock();
    const ThreadState::Snapshot before = thread.state.Watch();
    // [records/7] heavy: pairs with [records/4] and [records/5].
    if (!before.asleep() && !before.requested()) HeavyFence(WEFT_ORDER("records/7", std::memory_order_seq_cst));
  }
  RecordsWatch(const RecordsWatch&) = delete;
  RecordsWatch& operator=(const RecordsWatch&) = delete;
  ~RecordsWatch() {
    thread_.state.Unwatch();
    thread_.records_lock.unlock();
  }

 private:
  Thread& thread_;
};

// Requests to many threads, with one fence for all: calls request(thread) for each, without its lock. That announces a
// request with kByWatchEach, which is never taken back, unless the thread has such a request already. The caller keeps
// the threads alive, and no other call of this watches one of them meanwhile.
template <HasRecords Thread, class Request>
inline void WatchEach(Thread* const* threads, int count, Request request) noexcept {
  bool awake = false;
  for (int i = 0; i < count; ++i) {
    const ThreadState::Snapshot before = threads[i]->state.Watch();
    awake |= !before.asleep() && !before.requested();
  }
  // [records/8] heavy: pairs with [records/4] and [records/5].
  if (awake) HeavyFence(WEFT_ORDER("records/8", std::memory_order_seq_cst));
  for (int i = 0; i < count; ++i) {
    request(*threads[i]);
    threads[i]->state.Unwatch();  // from here on it is asked, and looks
  }
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_RECORDS_H_
