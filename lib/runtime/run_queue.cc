#include "lib/runtime/run_queue.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "lib/base/list.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/pinned.h"
#include "lib/thread/runtime_services.h"

namespace weft::internal {

uint32_t RunQueue::Choose(uint32_t count) noexcept {
  return runtime_.config.chooser != nullptr ? runtime_.config.chooser->Choose(count) : chooser_.Choose(count);
}

bool RunQueue::OthersWait() const noexcept { return deque.SizeEstimate() > 0 || runtime_.injected.MayHave(); }

// The deque is full, and may not grow or has no memory to. The inject queue needs no memory. Carriers that wait in
// destructors take from there, and are not told of a push.
void RunQueue::InjectInstead(Queued* queued) noexcept {
  runtime_.Inject(*Queued::Thread(queued));
  if (runtime_.carriers.any_blocked()) runtime_.NotifyWork();
}

// Injected threads go behind the threads that are here already, and before those that come next. First the oldest is
// taken, which frees its place, so that neither queue starves the other when the deque is full. The deque does not
// grow: a full deque is the front of one long queue, and woken threads go to the end of the rest.
ThreadBlock* RunQueue::TakeOldest() noexcept {
  ThreadBlock* thread = TakeOldestHere();
  if (!runtime_.injected.MayHave()) [[likely]]
    return thread;
  if (thread == nullptr) thread = runtime_.injected.Take();
  AdmitInjected();
  return thread;
}

// Takes this carrier's share. Every other carrier that looks for a thread takes one as well.
void RunQueue::AdmitInjected() noexcept {
  ThreadQueue admitted;
  runtime_.injected.TakeSome(std::min({runtime_.ShareOfInjected(), kAdmittedPerDispatch, deque.Room()}), admitted);
  if (admitted.empty()) return;
  while (ThreadBlock* thread = admitted.PopFront()) PushWoken(*thread);
  NotifyPushed();
}

// The order is not promised, so a simulation tries others as well. But never two in a row out of order, because it is
// promised that the oldest waits for at most two turns of each.
ThreadBlock* RunQueue::TakeOutOfTurn() noexcept {
  if (std::exchange(out_of_turn_, false)) return nullptr;
  ThreadBlock* thread = nullptr;
  if (Choose(4) == 0) thread = StealFromAny();
  if (thread == nullptr && Choose(4) == 0) thread = Queued::Thread(deque.Pop());
  out_of_turn_ = thread != nullptr;
  return thread;
}

void RunQueue::TakeBackPinned() noexcept {
  Queued* const newest = deque.Pop();
  if (newest == nullptr) return;
  ThreadBlock* const thread = Queued::Seed(newest) == nullptr ? Queued::Thread(newest) : nullptr;
  if (thread != nullptr && IsPinned(*thread)) return pinned.Push(*thread);
  Push(newest);
  NotifyPushed();
}

ThreadBlock* RunQueue::TakePinned() noexcept {
  if (!pinned.MayHave()) [[likely]]
    return nullptr;
  const size_t injected = runtime_.injected.MayHave() ? runtime_.ShareOfInjected() : 0;
  return pinned.Take(deque.TakenEstimate(), deque.SizeEstimate() + injected);
}

// For a destructor that waits (pinned_run.h), and may run no other threads: those that it meets in this deque go to the
// inject queue.
ThreadBlock* RunQueue::TakeFor(const PinnedWait& wait, uint64_t& injected_seen) noexcept {
  bool moved = false;
  ThreadBlock* found = nullptr;
  while (ThreadBlock* thread = TakeOldestHere()) {
    if (wait.may_run(wait.of, *thread)) {
      found = thread;
      break;
    }
    runtime_.Inject(*thread);
    moved = true;
  }
  const auto may_run = [&wait](const ThreadBlock& thread) { return wait.may_run(wait.of, thread); };
  if (found == nullptr) found = pinned.TakeIf(may_run);
  if (found == nullptr) {
    // Others may steal those that do not run at once.
    ThreadQueue taken;
    runtime_.injected.TakeNewIf(may_run, kAdmittedPerDispatch, taken, injected_seen);
    found = taken.PopFront();
    if (!taken.empty()) {
      while (ThreadBlock* const thread = taken.PopFront()) PushWoken(*thread);
      NotifyPushed();
    }
  }
  if (moved) runtime_.NotifyWork();
  return found;
}

bool RunQueue::InjectAll() noexcept {
  bool moved = false;
  while (ThreadBlock* thread = TakeOldestHere()) {
    runtime_.Inject(*thread);
    moved = true;
  }
  return moved;
}

// ---- Thefts.

ThreadBlock* RunQueue::Steal(bool may_pause) noexcept {
  if (theft_pause_ns_ > 0 && may_pause) PauseBeforeTheft();
  return StealFromAny();
}

// Tries every other carrier, from a random one on, and notes the victim.
ThreadBlock* RunQueue::StealFromAny() noexcept {
  const uint32_t count = runtime_.carrier_count();
  if (count < 2) return nullptr;
  const uint32_t first = Choose(count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t at = (first + i) % count;
    if (at == index_) continue;
    Carrier& victim = runtime_.carrier(at);
    for (;;) {
      const auto stolen = victim.queue.deque.Steal();
      if (stolen.outcome == StealOutcome::kStolen) {
        ThreadBlock* const thread = Queued::Thread(stolen.item);
        if (IsPinned(*thread)) [[unlikely]] {
          runtime_.GiveBackPinned(*thread);
          continue;
        }
        CarrierCounters::Add(counters_.steals);
        victim_ = &victim.counters;
        stolen_ = runtime_.config.chooser == nullptr;
        return thread;
      }
      if (stolen.outcome == StealOutcome::kEmpty) break;
    }
  }
  return nullptr;
}

void RunQueue::JudgeTheft(int64_t nanos) noexcept {
  const bool worth_it = nanos >= kWorthStealingNanos;
  theft_pause_ns_ = worth_it ? 0 : std::clamp(2 * theft_pause_ns_, kWorthStealingNanos, kMaxPauseNanos);
  thefts_in_vain_ = worth_it ? 0 : std::min(thefts_in_vain_ + 1, kTheftsInVain);
}

// Yields the processor meanwhile, to the victim if there are more carriers than processors. If the victim turns out to
// compute, it will not come to its threads, and the pause ends.
void RunQueue::PauseBeforeTheft() noexcept {
  const int64_t progress = victim_->Progress();
  const int64_t begin = runtime_.Now();
  int64_t now = begin;
  for (bool told = false; now - begin < theft_pause_ns_ && !runtime_.injected.MayHave(); now = runtime_.Now()) {
    if (!told && now - begin >= kWorthStealingNanos) {
      if (victim_->Progress() == progress) return;
      told = true;
    }
    std::this_thread::yield();
  }
}

// Called when the other carrier has been running one thread for kReliefNanos. (duties.h)
void RunQueue::TakeOver(RunQueue& other) noexcept {
  ThreadQueue taken;
  size_t count = 0;
  while (count < kTakenOverAtOnce) {
    const auto stolen = other.deque.Steal();
    if (stolen.outcome == StealOutcome::kEmpty) break;
    if (stolen.outcome == StealOutcome::kLost) continue;
    ThreadBlock* const thread = Queued::Thread(stolen.item);
    if (IsPinned(*thread)) [[unlikely]] {
      runtime_.GiveBackPinned(*thread);
      continue;
    }
    taken.PushBack(thread);
    ++count;
  }
  if (count == 0) return;
  CarrierCounters::Add(counters_.steals, static_cast<int64_t>(count));
  runtime_.injected.PushAll(taken, count);
  runtime_.NotifyWork();
}

}  // namespace weft::internal
