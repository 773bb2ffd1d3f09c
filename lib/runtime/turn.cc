#include "lib/runtime/turn.h"

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <utility>

#include "lib/cancel/boundary.h"
#include "lib/runtime/runtime_core.h"
#include "lib/thread/pinned.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/boundary.h"
#include "weft/internal/wait.h"

namespace weft::internal {

Turn::Turn(RuntimeCore& core, uint32_t carrier_index) noexcept
    : runtime(core),
      index(carrier_index),
      observed(core, carrier_index),
      mounted_here_(static_cast<uint16_t>(carrier_index + 1) | ThreadBlock::kMountedBit) {}

// ---- Called by the mounted thread.

bool Turn::EnterWait(AwaitingFrame awaiting, const WaitKind& kind, void* waiting_on) noexcept {
  ThreadBlock& thread = *current;
  if (!EnterBoundary(awaiting.frame)) return false;
  observed.waits_at = awaiting.where;
  thread.wait.store(&kind, std::memory_order_relaxed);
  thread.waiting_on = waiting_on;
  action = Action::kPark;
  return true;
}

// A carrier takes 1,024 ids at once. If the rest of them does not suffice for a call, it is dropped.
uint64_t Turn::TakeIds(uint32_t count) noexcept {
  constexpr uint64_t kIds = 1024;
  const uint64_t taken = std::max<uint64_t>(kIds, count);
  const uint64_t first = runtime.next_thread_id.fetch_add(taken, std::memory_order_relaxed);
  next_id_ = first + count;
  end_of_ids_ = first + taken;
  return first;
}

// ---- Called by whoever runs it.

// Of a thread that was mounted elsewhere before.
bool Turn::MoveHere(const ThreadBlock& thread) noexcept {
  if (IsPinned(thread)) return false;
  CarrierCounters::Add(counters.moves);
  return true;
}

std::coroutine_handle<> Turn::SendHome(ThreadBlock& thread) noexcept {
  MakeRunnable(thread);
  return Leave();
}

void Turn::Mount(ThreadBlock& thread) noexcept {
  running.store(true, std::memory_order_relaxed);
  SwitchTo(thread);
}

void Turn::Remount(ThreadBlock& thread) noexcept {
  const int left = ready_budget_;
  Mount(thread);
  ready_budget_ = left;
}

void Turn::Unmount(ThreadBlock& thread) noexcept {
  thread.mounted.store(static_cast<uint16_t>(index + 1), std::memory_order_relaxed);
  current = nullptr;
  if (observed.on()) observed.Unmount(thread);
}

const WaitKind* Turn::EndWait(ThreadBlock& thread) noexcept {
  const WaitKind* wait = thread.wait.load(std::memory_order_relaxed);
  thread.wait.store(nullptr, std::memory_order_relaxed);
  if (wait != nullptr && wait->cancel_wins && IsCancelled(thread)) thread.unwind = true;
  return wait;
}

Turn::Interrupted Turn::Interrupt() noexcept {
  if (current != nullptr) no_suspensions.Check(*current, {});
  return {current, ready_budget_, action, seen_, std::exchange(foreign, nullptr)};
}

void Turn::GoOn(const Interrupted& interrupted) noexcept {
  current = interrupted.current;
  ready_budget_ = interrupted.ready_budget;
  action = interrupted.action;
  seen_ = interrupted.seen;
  foreign = interrupted.foreign;
  running.store(current != nullptr, std::memory_order_relaxed);
}

}  // namespace weft::internal
