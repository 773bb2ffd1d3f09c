// How does one of several cases happen, and no other?
//
//   1. The thread looks at the cases in random order, each alone, under its own lock or none. The first that is there
//      is taken.
//   2. If none is, it suspends. It locks whatever all of them wait for, in the order of the addresses, and looks again.
//      If still none is there, it adds a node for each case, and only then unlocks.
//   3. Whoever has something for a case claims the wait by that case's number, under the case's lock (wait_node.h).
//      Whoever cancels the thread claims it without a lock. Timers claim it when they fire.
//   4. The woken thread takes the nodes of the other cases back, each under its lock.
//   5. Whoever has cancelled the thread makes way for others in queues where a node whose wait is over would stop them:
//      those of locks, whose first waiter counts. The thread takes its nodes back when its frame goes, and that may
//      wait for children which wait behind such a node.
//
// One case happens. Before all nodes are added nobody else knows the wait: so what is taken in step 1 or 2 is taken by
// the thread itself, once. Later the claim decides.
// Nothing is missed. In step 2 all locks are held from the look until the nodes are there: what comes later finds them.
// A node whose wait is over gives nothing away: who wants to grant it fails to claim it, and goes on to the next one.
// Two selects that meet in a channel: the second one finds the node of the first, and claims the first one's wait. Its
// own is not known to anyone yet, so it need not claim that as well: this is what the locks buy.
// No deadlock: nobody else holds two of these locks, and all who select take them in one order.
//
// What has no lock (a timer) is added after the others, without. It may be late for a wait that is over: then it claims
// in vain.
//
// Rejected: claiming both waits without the locks. The second thread would have to mark its own as undecided while it
// claims the first, and whoever meets the mark has to spin. (J. Reppy, C. Russo, Y. Xiao, "Parallel Concurrent ML",
// ICFP 2009.) Step 1 with all locks: a select that finds something would take all for nothing.
#ifndef WEFT_LIB_CHANNEL_SELECT_WAIT_H_
#define WEFT_LIB_CHANNEL_SELECT_WAIT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>

#include "lib/thread/selectable_wait.h"
#include "lib/thread/wait_node.h"
#include "weft/channel/select_wait.h"
#include "weft/internal/lock.h"

namespace weft::internal {

// The locks of these cases, each once.
template <class Thread>
struct SelectWait<Thread>::Locks {
  Locks(SelectRecord<Thread>* records, int32_t count) noexcept {
    for (int32_t i = 0; i < count; ++i) {
      const SelectPartOf<Thread>& part = records[i].part;
      for (auto* const lock_of : {part.how->lock, part.how->second_lock}) {
        Lock* const lock = lock_of == nullptr ? nullptr : lock_of(part.waited_for);
        if (lock != nullptr) locks[size++] = lock;
      }
    }
    std::sort(locks, locks + size, std::less<Lock*>());
    size = std::unique(locks, locks + size) - locks;
    for (ptrdiff_t i = 0; i < size; ++i) locks[i]->lock();
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;
  ~Locks() {
    while (size > 0) locks[--size]->unlock();
  }

  Lock* locks[2 * kMaxCases];
  ptrdiff_t size = 0;
};

template <class Thread>
bool SelectWait<Thread>::Look(SelectRecord<Thread>* records, int32_t count, Thread& self) noexcept {
  taken_ = TakeOne(count, self, [&](int32_t number) { return TakeAlone(records[number]); });
  return taken_ >= 0;
}

template <class Thread>
bool SelectWait<Thread>::LookOrAdd(Thread& self) noexcept {
  SelectTaken taken;
  {
    const Locks locks(records_, count_);
    taken_ = TakeOne(count_, self, [&](int32_t number) {
      const SelectPartOf<Thread>& part = records_[number].part;
      taken = part.how->take(part.waited_for);
      return taken.taken;
    });
    for (int32_t i = 0; taken_ < 0 && i < count_; ++i) {
      const SelectPartOf<Thread>& part = records_[i].part;
      part.how->add(part.waited_for, records_[i].node.emplace(*wait_, i, part.waited_for));
    }
  }
  if (taken_ >= 0) {
    Finish(records_[taken_].part, taken);
    return true;
  }
  for (int32_t i = 0; i < count_; ++i) {
    const SelectPartOf<Thread>& part = records_[i].part;
    if (part.how->after_add != nullptr) part.how->after_add(part.waited_for, *records_[i].node);
  }
  return false;
}

// Calls take(number) for one case after the other, until it says that it has taken one, and returns the number of that,
// or -1. Each order of the cases is as likely as any other.
template <class Thread>
template <class Take>
int32_t SelectWait<Thread>::TakeOne(int32_t count, Thread& self, Take take) noexcept {
  uint8_t left[kMaxCases];
  std::iota(left, left + count, uint8_t{0});
  for (int32_t size = count; size > 0; --size) {
    uint8_t& chosen = left[size == 1 ? 0 : ChooseCase(self, static_cast<uint32_t>(size))];
    const int32_t number = chosen;
    chosen = left[size - 1];
    if (take(number)) return number;
  }
  return -1;
}

template <class Thread>
bool SelectWait<Thread>::TakeAlone(SelectRecord<Thread>& record) noexcept {
  const SelectPartOf<Thread>& part = record.part;
  if (part.how->take_alone != nullptr) return part.how->take_alone(part.waited_for);
  SelectTaken taken;
  {
    const Locks locks(&record, 1);
    taken = part.how->take(part.waited_for);
  }
  if (taken.taken) Finish(part, taken);
  return taken.taken;
}

template <class Thread>
void SelectWait<Thread>::Finish(const SelectPartOf<Thread>& part, const SelectTaken& taken) noexcept {
  if (part.how->finish != nullptr) part.how->finish(part.waited_for, taken);
}

// All nodes are there: the thread has parked, or does this itself. They stay: it cannot go on before this returns.
template <class Thread>
bool SelectWait<Thread>::Withdraw(Thread& thread) noexcept {
  SelectWait& self = *static_cast<SelectWait*>(thread.waiting_on);
  if (!self.wait_->Claim(WaitForSeveral<Thread>::kWithdrawn)) return false;
  for (SelectRecord<Thread>* record = self.records_; record != self.records_ + self.count_; ++record) {
    if (record->part.how->make_way != nullptr) record->part.how->make_way(record->part.waited_for, *record->node);
  }
  return true;
}

template <class Thread>
void SelectWait<Thread>::TakeBack(SelectRecord<Thread>* records, int32_t count) noexcept {
  for (int32_t i = 0; i < count; ++i) {
    if (!records[i].node.has_value()) continue;
    records[i].part.how->take_back(records[i].part.waited_for, *records[i].node);
    records[i].node.reset();
  }
}

}  // namespace weft::internal

#endif  // WEFT_LIB_CHANNEL_SELECT_WAIT_H_
