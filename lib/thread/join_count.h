// How many children does a scope still have, and which thread goes on when there are none?
//
// Most children are forked by the owner of a scope, and run to their end on its carrier while it waits in its join, one
// after another, each begun where the last one ended. Counting these takes no atomic operation: `local_` belongs to one
// thread at a time, its *holder*.
//
//   The holder is the owner, except while it waits; then it is the child that runs in its place, from when that child
//   is begun until it ends, wherever it parks and resumes meanwhile. When that child ends, the next one begun in its
//   place holds the count; if there is nothing to begin, the holder gives the count up by Wait().
//
// All others count in `shared_`: children that end without holding the count, descendants that fork into the scope, and
// a shutdown that is being carried to the children. The sum of the two is how many have not ended, except for daemons
// while a join waits for the other children. (ScopeRecord::ExcludeDaemons)
//
//   holder: Wait()    1. merges local_ into shared_ and adds kWaiting, in one step
//   other:  End()     2. takes one from shared_
//
// Whichever of these brings the sum to kWaiting and zero, and takes kWaiting down in the same step, goes on as the
// owner, or makes it runnable. It happens once for each Wait(), because only the holder sets kWaiting.
//
// Two kinds of threads may add although nothing is left: a canceller that took a child for alive which has just ended,
// and a thread of a nested scope that forks into this one. What they add is never overwritten, only added to, and
// whoever goes on as the owner looks again before the scope goes away (Carrier::CompleteJoin, and the destructor).
//
// Memory ordering: what a child did before End(), or before it ended as the holder, happens before what the owner does
// after its wait.
//
// A destructor does not wait to be resumed: it holds its OS thread. Block() adds kBlocked, and the End() of the last
// child returns kRing: its caller rings the owner, and must not touch the scope any more.
#ifndef WEFT_LIB_THREAD_JOIN_COUNT_H_
#define WEFT_LIB_THREAD_JOIN_COUNT_H_

#include <cstdint>

#include "weft/internal/atomic.h"
#include "weft/internal/join_count.h"

namespace weft::internal {

inline bool JoinCount::Merge(int64_t flag) noexcept {
  // The last touch of local_: whoever resumes the owner makes it the holder again.
  const int64_t added = local_ + flag;
  local_ = 0;
  // [join/3] acq_rel: as [join/2], it pairs with [join/2] and [join/1].
  return AddAndConclude(added, WEFT_ORDER("join/3", std::memory_order_acq_rel)) == flag;
}

// Returns the sum. If that is kWaiting and zero, kWaiting is taken down in the same step, so that a shutdown that comes
// a moment later finds a count without a waiter.
inline int64_t JoinCount::AddAndConclude(int64_t added, std::memory_order order) noexcept {
  int64_t count = shared_.load(std::memory_order_relaxed);
  int64_t sum;
  do {
    sum = count + added;
  } while (!shared_.compare_exchange_weak(count, sum == kWaiting ? 0 : sum, order, std::memory_order_relaxed));
  return sum;
}

// ---- The holder's.
inline void JoinCount::AddLocal() noexcept { ++local_; }
inline void JoinCount::EndLocal() noexcept { --local_; }
// Children that were not seen to end by the holder.
inline int64_t JoinCount::local() const noexcept { return local_; }
// May a child be there to begin?
inline bool JoinCount::MayHaveLocal() const noexcept { return local_ > 0; }
// Nothing was left when it looked.
inline bool JoinCount::Drained() noexcept {
  // [join/1] acquire: pairs with [join/2], of those who ended, and with [join/3].
  const int64_t others = shared_.load(WEFT_ORDER("join/1", std::memory_order_acquire));
  if ((others | local_) == 0) [[likely]]
    return true;
  if (others + local_ != 0) return false;
  local_ = 0;
  shared_.fetch_sub(others, std::memory_order_relaxed);  // not a store: somebody may have added since
  return true;
}
// How many are left, when it looked. relaxed: a number to look at; the join that follows orders what has ended.
inline int64_t JoinCount::Left() const noexcept { return local_ + shared_.load(std::memory_order_relaxed); }
// True: all had ended already. False: the count belongs to nobody until the last one ends.
inline bool JoinCount::Wait() noexcept { return Merge(kWaiting); }
// The same for an owner that holds its OS thread; until BlockedDrained(), and then Unblock().
inline bool JoinCount::Block() noexcept { return Merge(kBlocked); }
inline bool JoinCount::BlockedDrained() const noexcept {
  // [join/4] acquire: pairs with [join/2], as [join/1] does.
  return shared_.load(WEFT_ORDER("join/4", std::memory_order_acquire)) == kBlocked;
}
inline void JoinCount::Unblock() noexcept { shared_.fetch_sub(kBlocked, std::memory_order_relaxed); }

// ---- Anybody else's.
inline void JoinCount::Add() noexcept { shared_.fetch_add(1, std::memory_order_relaxed); }
// Like Add(), for several. Negative: for children that a join must not wait for now. (ScopeRecord::ExcludeDaemons)
inline void JoinCount::Add(int64_t count) noexcept { shared_.fetch_add(count, std::memory_order_relaxed); }
inline JoinCount::Last JoinCount::End() noexcept {
  // [join/2] acq_rel: the release is for whoever brings it to zero, the acquire if that is this one. So it pairs with
  // itself, with [join/3], and with [join/1] and [join/4].
  const int64_t left = AddAndConclude(-1, WEFT_ORDER("join/2", std::memory_order_acq_rel));
  if (left == kWaiting) return Last::kResume;
  return left == kBlocked ? Last::kRing : Last::kNo;
}
// Takes a Wait() back, for an owner that must leave its join. False: the last one has ended, and the owner will be
// resumed.
inline bool JoinCount::Withdraw() noexcept {
  int64_t count = shared_.load(std::memory_order_relaxed);
  do {
    if (count <= kWaiting) return false;
    // relaxed: the owner goes on without the children.
  } while (
      !shared_.compare_exchange_weak(count, count - kWaiting, std::memory_order_relaxed, std::memory_order_relaxed));
  return true;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_JOIN_COUNT_H_
