// Who gets a value, and who waits?
//
// A channel has a queue of receivers, a queue of senders, and the values that it keeps, in a ring (element_ring.h). It
// has two locks: one for those who put values into the ring, one for those who take them out. Whoever holds both sees
// everything as it is. Then:
//
//   I1. A receiver waits only if no value is kept, and no sender waits.
//   I2. A sender waits only if as many values are kept as the capacity allows.
//   I3. Nobody waits in a closed channel.
//
// A wait that is over may still be in a queue: of several things, another one has happened; or it was cancelled a
// moment ago. It does not count, and Grant() puts it aside (`over_`), for whoever takes the node out. A Select() that
// sends and receives in one channel is in both queues, and is granted by others only: it looks at all its cases
// before it adds the first.
//
//   operation   what it finds, in this order   what it does
//   send        closed                         nothing
//               a receiver waits               grants it, and moves the value to it
//               conflated, a value is kept     destroys that, and keeps this one
//               room                           keeps the value
//               none of these                  waits
//   receive     a value is kept                takes the first; if a sender waits, grants it, and keeps its value
//               a sender waits                 grants it, and moves its value
//               closed                         nothing
//               none of these                  waits
//   close       open                           grants all who wait, with kClosed
//
// All of this is done under both locks, but for what happens mostly: nobody waits, the channel is open, and a value is
// put into a place, or taken out. A sender does that under the lock of the senders, and a receiver under the lock of
// the receivers (TakeAtOnce). Each sees for certain that nobody waits, and that the channel is open, because that
// changes only under both locks. A ring that was full, or empty, may not be so any more: then it takes the other lock
// too, and looks again. So the invariants hold for whoever holds both.
//
// Where a value is. Before it is granted, a sender's value is the sender's, and nobody else looks at it. Whoever grants
// the send, under the locks, has the value from then on, moves it, and then wakes the sender. A sender whose wait is
// withdrawn has not been granted, so its value was not touched. A receiver that has been granted gets the value before
// it is woken, and cannot be withdrawn any more. So each value is at one place, whoever is cancelled.
//
// Between two threads the value is moved without the locks: one has been granted, so both frames stay until it is
// woken. Into the ring and out of it values are moved under a lock, and destroyed there, when they were moved from or,
// in a conflated channel, replaced.
//
// Lifetime. Whoever has received the last value, or sees that the channel is closed, may destroy it.
//   * The one that has put the value in, or has closed, may have yet to release its lock. So the destructor takes both
//     locks: after that nobody else touches them (internal/lock.h). What is left to do then is about nodes only.
//   * Somebody may be cancelling a wait that was granted. So whoever ends a wait claims it first (ChannelParty::over),
//     and a cancel that comes second touches no channel.
//   * Or a wait that is not granted, if the channel was closed meanwhile. Then the node is in `over_`, and the
//     destructor waits until it is taken out (AwaitWithdrawals), which needs no more than the locks.
//   * A Select() that is over for another reason has to take its nodes back: to destroy the channel before is a CHECK.
//
// Memory ordering: what is kept is ordered as element_ring.h says; what is handed over by Wake(), and by [channel/1]
// for an OS thread.
//
// Cost, of a value through a channel of 64, measured on two processors, medians: 17 ns on one carrier. On two, one
// sender and one receiver take 42, where one lock for both took 115. Four of each take 91, where it took 130: somebody
// waits nearly always, so most values pass under both locks, and carriers wait for those.
//
// Rejected: to give up under one lock when the ring is full or empty (no gain); a ring without locks (D. Vyukov's):
// whoever has put a value in must then look for waiters, with a fence between, and one that is late could overtake one
// that waits.
#ifndef WEFT_LIB_CHANNEL_CHANNEL_STATE_H_
#define WEFT_LIB_CHANNEL_CHANNEL_STATE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/base/list.h"
#include "lib/channel/element_ring.h"
#include "lib/channel/ring_locks.h"
#include "lib/os/futex.h"
#include "lib/thread/selectable_wait.h"
#include "lib/thread/wait_node.h"
#include "weft/channel/channel_state.h"
#include "weft/internal/atomic.h"

namespace weft::internal {

template <class Thread>
ChannelState<Thread>::ChannelState(const ElementType& type, int64_t capacity, bool conflated) noexcept
    : type_(type), capacity_(capacity), conflated_(conflated) {
  initialized_ = ring_.Init(type, capacity);
}

// ---- Nodes.

template <class Thread>
ChannelParty<Thread>& PartyOf(WaitNode& node) noexcept {
  switch (node.wait_state) {
    case WaitNode::State::kCase:
      return *static_cast<ChannelParty<Thread>*>(static_cast<WaitCase<Thread>&>(node).slot);
    case WaitNode::State::kOsThread:
      return static_cast<OsThreadNode<Thread>&>(node).party;
    case WaitNode::State::kThread:
    case WaitNode::State::kGrantedThread:
      break;
  }
  return *static_cast<ChannelParty<Thread>*>(static_cast<Thread&>(node).waiting_on);
}

// True: its wait is granted. False: it is over.
template <class Thread>
bool ClaimParty(WaitNode& node) noexcept {
  if (node.wait_state == WaitNode::State::kOsThread) return true;
  const bool is_thread = node.wait_state == WaitNode::State::kThread;
  // relaxed: see ChannelParty::over.
  if (is_thread && PartyOf<Thread>(node).over.exchange(true, std::memory_order_relaxed)) return false;
  return WaitQueue<Thread>::Claim(node);
}

// The first that still waits, taken out; or null.
template <class Thread>
WaitNode* ChannelState<Thread>::Grant(WaitNodes& queue) noexcept {
  while (WaitNode* const node = queue.PopFront()) {
    if (ClaimParty<Thread>(*node)) return node;
    over_.PushBack(node);
  }
  return nullptr;
}

// It must not be touched afterwards.
template <class Thread>
void WakeNode(WaitNode& node) noexcept {
  if (node.wait_state != WaitNode::State::kOsThread) return Wake(WaitQueue<Thread>::ThreadOf(node));
  Atomic<uint32_t>& woken = static_cast<OsThreadNode<Thread>&>(node).woken;
  // [channel/1] release: pairs with [channel/2]. The OS thread sees the value and the outcome.
  woken.store(1, WEFT_ORDER("channel/1", std::memory_order_release));
  FutexWake(woken, 1);
}

// Without the locks, when the channel may be gone: a third thread has closed it.
template <class Thread>
void FinishTaken(const SelectTaken& taken) noexcept {
  if (taken.partner == nullptr) return;
  if (taken.move != nullptr) taken.move(taken.to, taken.from);
  PartyOf<Thread>(*taken.partner).outcome = ChannelOutcome::kDone;
  WakeNode<Thread>(*taken.partner);
}

template <class Thread>
void OsThreadNode<Thread>::Await() noexcept {
  // [channel/2] acquire: pairs with [channel/1].
  while (woken.load(WEFT_ORDER("channel/2", std::memory_order_acquire)) == 0) AwaitWord(woken, 0);
}

template <class Thread>
Thread* ChannelState<Thread>::FirstWaiting() noexcept {
  WaitNode* node = receivers_.empty() ? senders_.front() : receivers_.front();
  if (node == nullptr) node = over_.front();
  if (node == nullptr || node->wait_state == WaitNode::State::kOsThread) return nullptr;
  return &WaitQueue<Thread>::ThreadOf(*node);
}

// ---- The steps, under both locks. They say whether it is over, and write the outcome.

template <class Thread>
SelectTaken ChannelState<Thread>::TakeSend(Party& party) noexcept {
  if (closed_) {
    party.outcome = ChannelOutcome::kClosed;
    return {.taken = true};
  }
  if (WaitNode* const receiver = Grant(receivers_)) {
    party.outcome = ChannelOutcome::kDone;
    return {.taken = true, .partner = receiver, .from = party.value, .to = PartyOf<Thread>(*receiver).value,
            .move = type_.move};
  }
  if (conflated_ && ring_.size() > 0) ring_.DropFront(type_);
  if (ring_.full()) return {};
  party.outcome = ring_.PushBack(type_, party.value) ? ChannelOutcome::kDone : ChannelOutcome::kNoMemory;
  return {.taken = true};
}

// What both do mostly, in few instructions, under the lock of their own side. False: see TakeSend(), TakeReceive().
template <class Thread>
bool ChannelState<Thread>::TakeAtOnce(Party& party) noexcept {
  if (party.sends) {
    if (!receivers_.empty() || closed_ || !ring_.TryPushBack(type_, party.value)) return false;
  } else {
    if (!senders_.empty() || !ring_.TryPopFront(type_, party.value)) return false;
  }
  party.outcome = ChannelOutcome::kDone;
  return true;
}

template <class Thread>
SelectTaken ChannelState<Thread>::TakeReceive(Party& party) noexcept {
  if (ring_.size() > 0) {
    ring_.PopFront(type_, party.value);
    party.outcome = ChannelOutcome::kDone;
    WaitNode* const sender = Grant(senders_);
    // There is memory: a sender waits only in a ring with a limit.
    if (sender != nullptr) static_cast<void>(ring_.PushBack(type_, PartyOf<Thread>(*sender).value));
    NoteOthers();
    return {.taken = true, .partner = sender};
  }
  if (WaitNode* const sender = Grant(senders_)) {
    party.outcome = ChannelOutcome::kDone;
    NoteOthers();
    return {.taken = true, .partner = sender, .from = PartyOf<Thread>(*sender).value, .to = party.value,
            .move = type_.move};
  }
  NoteOthers();
  if (!closed_) return {};
  party.outcome = ChannelOutcome::kClosed;
  return {.taken = true};
}

template <class Thread>
SelectTaken ChannelState<Thread>::Take(Party& party) noexcept {
  return party.sends ? TakeSend(party) : TakeReceive(party);
}

template <class Thread>
void ChannelState<Thread>::NoteOthers() noexcept {
  others_.store(closed_ || !senders_.empty(), std::memory_order_relaxed);
}

// ---- The operations. None touches the channel after the partner was woken: that may destroy it.

template <class Thread>
void ChannelState<Thread>::Try(Party& party) noexcept {
  SelectTaken taken;
  {
    RingLocks locks(ring_, party.sends ? RingLocks::Which::kTail : RingLocks::Which::kHead);
    if (TakeAtOnce(party)) [[likely]]
      return;
    locks.TakeBoth();
    taken = Take(party);
  }
  FinishTaken<Thread>(taken);
}

template <class Thread>
template <class Node>
bool ChannelState<Thread>::TryOrAdd(Party& party, Node& self) noexcept {
  SelectTaken taken;
  {
    const RingLocks locks(ring_);
    taken = Take(party);
    if (!taken.taken) {
      if constexpr (std::is_same_v<Node, Thread>) self.wait_state = WaitNode::State::kThread;
      Add(party, self);
      return false;
    }
  }
  FinishTaken<Thread>(taken);
  return true;
}

template <class Thread>
void ChannelState<Thread>::Add(const Party& party, WaitNode& self) noexcept {
  if (party.sends) others_.store(true, std::memory_order_relaxed);
  (party.sends ? senders_ : receivers_).PushBack(&self);
}

template <class Thread>
int64_t ChannelState<Thread>::ReceiveSome(void* to, int64_t max, size_t* rest) noexcept {
  WaitNodes woken;
  int64_t count = 0;
  {
    const RingLocks locks(ring_);
    for (; count < max; ++count) {
      Party party{this, /*sends=*/false, static_cast<char*>(to) + count * static_cast<int64_t>(type_.size)};
      const SelectTaken taken = TakeReceive(party);
      if (party.outcome != ChannelOutcome::kDone) break;
      if (taken.partner == nullptr) continue;
      if (taken.move != nullptr) taken.move(taken.to, taken.from);
      woken.PushBack(taken.partner);
    }
    if (rest != nullptr) {
      const size_t most = std::min(*rest, kCountedSenders);
      size_t waiting = 0;
      WaitNode* sender = senders_.front();
      for (; sender != nullptr && waiting < most; sender = senders_.Next(sender)) ++waiting;
      *rest = std::min(*rest, static_cast<size_t>(ring_.size()) + waiting);
    }
  }
  while (WaitNode* const node = woken.PopFront()) {
    PartyOf<Thread>(*node).outcome = ChannelOutcome::kDone;
    WakeNode<Thread>(*node);
  }
  return count;
}

template <class Thread>
template <class F>
bool ChannelState<Thread>::Close(F close) noexcept {
  WaitNodes woken;
  {
    const RingLocks locks(ring_);
    if (closed_) return false;
    closed_ = true;
    NoteOthers();
    close();
    while (WaitNode* const node = Grant(receivers_)) woken.PushBack(node);
    while (WaitNode* const node = Grant(senders_)) woken.PushBack(node);
  }
  while (WaitNode* const node = woken.PopFront()) {
    PartyOf<Thread>(*node).outcome = ChannelOutcome::kClosed;
    WakeNode<Thread>(*node);
  }
  return true;
}

template <class Thread>
int64_t ChannelState<Thread>::size() noexcept {
  const RingLocks locks(ring_);
  return ring_.size();
}

// WaitKind::withdraw of a wait whose `waiting_on` is the party. Whichever list it is in.
template <class Thread>
bool ChannelState<Thread>::Withdraw(Thread& thread) noexcept {
  Party& party = *static_cast<Party*>(thread.waiting_on);
  if (party.over.exchange(true, std::memory_order_relaxed)) return false;
  ChannelState& self = *party.channel;
  bool ends;
  {
    const RingLocks locks(self.ring_);
    WaitNodes::Remove(&thread);
    ends = self.ends_;
    if (ends) self.withdrawals_.store(self.withdrawals_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  if (ends) FutexWake(self.withdrawals_, 1);  // which only names the address: the channel may be gone
  return true;
}

template <class Thread>
void ChannelState<Thread>::AwaitWithdrawals() noexcept {
  for (;;) {
    uint32_t seen;
    {
      const RingLocks locks(ring_);
      WaitNode* node = over_.front();
      while (node != nullptr && node->wait_state != WaitNode::State::kThread) node = over_.Next(node);
      if (node == nullptr) return;
      ends_ = true;
      seen = withdrawals_.load(std::memory_order_relaxed);
    }
    FutexWait(withdrawals_, seen);
  }
}

// By a Select() that is over, of a case that was not granted. The node may have been taken out already.
template <class Thread>
void ChannelState<Thread>::TakeBack(WaitCase<Thread>& node) noexcept {
  const RingLocks locks(ring_);
  if (node.linked()) WaitNodes::Remove(&node);
}

// ---- For Select(): `waited_for` is the party.

template <class Thread>
struct SelectInChannel {
  using Party = ChannelParty<Thread>;
  static Party& Of(void* waited_for) noexcept { return *static_cast<Party*>(waited_for); }

  static constexpr SelectableWait<Thread> kWait = {
      .lock = [](void* waited_for) noexcept { return RingLocks::First(Of(waited_for).channel->ring()); },
      .second_lock = [](void* waited_for) noexcept { return RingLocks::Second(Of(waited_for).channel->ring()); },
      // With take() and both locks a select that finds a value in one of two channels takes 92 ns for 68, of eight 196
      // for 116.
      .take_alone =
          [](void* waited_for) noexcept {
            Party& party = Of(waited_for);
            if (!party.sends && !party.channel->MayHaveSomething()) return false;
            party.channel->Try(party);
            return party.outcome != ChannelOutcome::kPending;
          },
      .take = [](void* waited_for) noexcept { return Of(waited_for).channel->Take(Of(waited_for)); },
      .finish = [](void*, const SelectTaken& taken) noexcept { FinishTaken<Thread>(taken); },
      .add = [](void* waited_for,
                WaitCase<Thread>& node) noexcept { Of(waited_for).channel->Add(Of(waited_for), node); },
      .after_add = nullptr,
      // Of the case that was granted nothing is left to take back, and whoever has granted it may have destroyed the
      // channel by now: it has received the last value, or has closed it.
      .take_back =
          [](void* waited_for, WaitCase<Thread>& node) noexcept {
            if (node.wait.claimed_by() != node.number) Of(waited_for).channel->TakeBack(node);
          },
  };
};

}  // namespace weft::internal

#endif  // WEFT_LIB_CHANNEL_CHANNEL_STATE_H_
