#include "lib/timer/timer_wheel.h"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include "lib/base/fence.h"
#include "lib/os/futex.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

// How often a Cancel looks before it sleeps: a fire function is a matter of a microsecond.
constexpr int kSpins = 200;

}  // namespace

TimerWheel::TimerWheel(int64_t now_ns, int tick_shift) noexcept
    : tick_shift_(tick_shift), tick_(TickOfNow(now_ns)) {}

TimerWheel::~TimerWheel() { WEFT_CHECK(armed() == 0) << "a timer wheel ends with " << armed() << " timers armed"; }

void TimerWheel::Insert(TimerNode& node, int64_t deadline_ns) noexcept {
  std::lock_guard guard(lock_);
  WEFT_DCHECK(node.slot_ == TimerNode::kNotArmed) << "a timer is inserted that is armed already";
  if (node.wheel != this) node.wheel = this;  // a fire function may do this while the node's owner reads it
  Place(node, deadline_ns);
  // relaxed: written under the lock, and read as a hint.
  armed_.store(armed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool TimerWheel::Move(TimerNode& node, int64_t deadline_ns) noexcept {
  std::lock_guard guard(lock_);
  if (node.slot_ == TimerNode::kNotArmed) return false;
  const int left = node.slot_;
  Unlink(node);
  if (slots_[left].head == nullptr) PublishUnlessFiring();
  Place(node, deadline_ns);
  return true;
}

// Called with a node that is in no slot.
void TimerWheel::Place(TimerNode& node, int64_t deadline_ns) noexcept {
  node.deadline_ns = deadline_ns;
  const uint64_t tick = std::max(TickOfDeadline(deadline_ns), tick_);
  const int slot = SlotFor(tick);
  Link(node, slot);
  const int64_t due_ns = NanosOfTick(FirstTick(tick, slot / kSlotsPerLevel));
  if (due_ns < next_deadline_ns_.load(std::memory_order_relaxed)) {
    next_deadline_ns_.store(due_ns, std::memory_order_relaxed);
  }
}

bool TimerWheel::Cancel(TimerNode& node) noexcept {
  std::lock_guard guard(lock_);
  bool was_armed = false;
  // A loop, because the fire function that was waited for may have armed the node again.
  while (true) {
    if (node.slot_ != TimerNode::kNotArmed) {
      const int slot = node.slot_;
      Unlink(node);
      armed_.store(armed_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      if (slots_[slot].head == nullptr) PublishUnlessFiring();
      was_armed = true;
    }
    if (!RunsElsewhere(node)) return was_armed;
    AwaitFireEnd();
  }
}

int TimerWheel::FireExpired(int64_t now_ns, int max) noexcept {
  const uint64_t now = TickOfNow(now_ns);
  int64_t moves_left = kMovesPerFire * max;
  int fired = 0;
  std::lock_guard guard(lock_);
  if (in_fire_expired_) return 0;
  in_fire_expired_ = true;
  while (true) {
    if (moving_ >= 0) {
      if (moves_left <= 0) break;
      moves_left -= MoveDown(std::min(moves_left, kMovesPerHold));
      // Lets a waiting Cancel in.
      lock_.unlock();
      lock_.lock();
      continue;
    }
    const NextSlot next = FindNext();
    if (next.slot < 0 || next.tick > now) {
      tick_ = std::max(tick_, now);
      break;
    }
    tick_ = next.tick;
    if (next.slot < kSlotsPerLevel) {
      if (fired >= max) break;
      FireOne(*slots_[next.slot].head);
      ++fired;
    } else {
      moving_ = next.slot;
    }
  }
  PublishNext();
  in_fire_expired_ = false;
  return fired;
}

// ---- Ticks.

// Rounded up: a timer is never early.
uint64_t TimerWheel::TickOfDeadline(int64_t deadline_ns) const noexcept {
  if (deadline_ns == kNoDeadline) return uint64_t{1} << (63 - tick_shift_);  // a tick that never comes
  const auto ns = static_cast<uint64_t>(std::max<int64_t>(deadline_ns, 0));
  return (ns + ((uint64_t{1} << tick_shift_) - 1)) >> tick_shift_;
}

// Rounded down, for the same reason.
uint64_t TimerWheel::TickOfNow(int64_t now_ns) const noexcept {
  return static_cast<uint64_t>(std::max<int64_t>(now_ns, 0)) >> tick_shift_;
}

int64_t TimerWheel::NanosOfTick(uint64_t tick) const noexcept {
  const uint64_t last = static_cast<uint64_t>(kNoDeadline) >> tick_shift_;
  return tick > last ? kNoDeadline : static_cast<int64_t>(tick << tick_shift_);
}

uint64_t TimerWheel::FirstTick(uint64_t tick, int level) noexcept {
  const int shift = level * kLevelBits;
  return shift < 64 ? tick >> shift << shift : 0;
}

// ---- Lists.

int TimerWheel::SlotFor(uint64_t tick) const noexcept {
  if (moving_ >= 0) {
    // Behind the timers that are still in the slot that is being moved down, so that they keep their order.
    const int shift = moving_ / kSlotsPerLevel * kLevelBits;
    if (tick >> shift == tick_ >> shift) return moving_;
  }
  const uint64_t difference = tick ^ tick_;
  const int level = difference == 0 ? 0 : (static_cast<int>(std::bit_width(difference)) - 1) / kLevelBits;
  const auto slot = static_cast<int>((tick >> (level * kLevelBits)) % kSlotsPerLevel);
  return level * kSlotsPerLevel + slot;
}

void TimerWheel::Link(TimerNode& node, int slot) noexcept {
  List& list = slots_[slot];
  node.slot_ = static_cast<uint16_t>(slot);
  node.next_ = nullptr;
  node.prev_ = list.tail;
  (list.tail != nullptr ? list.tail->next_ : list.head) = &node;
  list.tail = &node;
  occupied_[slot / kSlotsPerLevel] |= uint64_t{1} << (slot % kSlotsPerLevel);
  levels_ |= 1u << (slot / kSlotsPerLevel);
}

void TimerWheel::Unlink(TimerNode& node) noexcept {
  const int slot = node.slot_;
  List& list = slots_[slot];
  (node.prev_ != nullptr ? node.prev_->next_ : list.head) = node.next_;
  (node.next_ != nullptr ? node.next_->prev_ : list.tail) = node.prev_;
  node.slot_ = TimerNode::kNotArmed;
  if (list.head != nullptr) return;
  const int level = slot / kSlotsPerLevel;
  occupied_[level] &= ~(uint64_t{1} << (slot % kSlotsPerLevel));
  if (occupied_[level] == 0) levels_ &= ~(1u << level);
  if (slot == moving_) moving_ = -1;
}

// The slot that is due first. Slots of a level lie between the current tick and the first slot of the level above, so
// the lowest level decides; and within it the lowest slot, for those before the current tick's are empty.
TimerWheel::NextSlot TimerWheel::FindNext() const noexcept {
  if (moving_ >= 0) return {.slot = moving_, .tick = tick_};
  if (levels_ == 0) return {.slot = -1, .tick = 0};
  const int level = std::countr_zero(levels_);
  const int slot = std::countr_zero(occupied_[level]);
  const uint64_t tick = FirstTick(tick_, level + 1) + (static_cast<uint64_t>(slot) << (level * kLevelBits));
  return {.slot = level * kSlotsPerLevel + slot, .tick = tick};
}

// FireExpired() publishes at its end. Until then the node that is firing may be armed again, for a time of which the
// wheel's owner would not hear: it must not sleep for longer than to the deadline that it knows.
void TimerWheel::PublishUnlessFiring() noexcept {
  if (!in_fire_expired_) PublishNext();
}

void TimerWheel::PublishNext() noexcept {
  const NextSlot next = FindNext();
  // relaxed: see NextDeadline().
  next_deadline_ns_.store(next.slot < 0 ? kNoDeadline : NanosOfTick(next.tick), std::memory_order_relaxed);
}

// Moves up to `max` timers of slot `moving_` to lower levels, oldest first.
int64_t TimerWheel::MoveDown(int64_t max) noexcept {
  const int from = moving_;
  int64_t moved = 0;
  moving_ = -1;  // so that SlotFor() returns the place below
  while (moved < max && slots_[from].head != nullptr) {
    TimerNode& node = *slots_[from].head;
    Unlink(node);
    if (slots_[from].head != nullptr) __builtin_prefetch(slots_[from].head);
    Link(node, SlotFor(std::max(TickOfDeadline(node.deadline_ns), tick_)));
    ++moved;
  }
  if (slots_[from].head != nullptr) moving_ = from;
  return moved;
}

// ---- Firing.

// `next` fires after the one that is about to. A node that has waited for long is in no cache, nor is its subject: they
// come while the one before fires.
void TimerWheel::FetchAhead(const TimerNode& next) noexcept {
  if (next.next_ != nullptr) __builtin_prefetch(next.next_);
  const auto* const subject = static_cast<const char*>(next.subject);
  if (subject == nullptr) return;
  for (size_t line = 0; line < kLinesFetched; ++line) __builtin_prefetch(subject + line * kCacheLineSize);
}

void TimerWheel::FireOne(TimerNode& node) noexcept {
  if (node.next_ != nullptr) FetchAhead(*node.next_);
  Unlink(node);
  armed_.store(armed_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  void (*const fire)(TimerNode*) noexcept = node.fire;
  const bool cancel_waits = node.cancel_waits;
  if (cancel_waits) {
    firing_ = &node;
    firing_thread_ = ::pthread_self();
  }
  lock_.unlock();
  fire(&node);
  // Where Cancel does not wait, `node` may be gone.
  lock_.lock();
  if (!cancel_waits) return;
  firing_ = nullptr;
  if (waiting_ == 0) return;
  fires_ended_.fetch_add(1, std::memory_order_relaxed);
  FutexWake(fires_ended_, static_cast<int>(waiting_));
}

bool TimerWheel::RunsElsewhere(const TimerNode& node) const noexcept {
  return firing_ == &node && ::pthread_equal(firing_thread_, ::pthread_self()) == 0;
}

void TimerWheel::AwaitFireEnd() noexcept {
  ++waiting_;
  const uint32_t seen = fires_ended_.load(std::memory_order_relaxed);
  lock_.unlock();
  for (int i = 0; i < kSpins && fires_ended_.load(std::memory_order_relaxed) == seen; ++i) CpuRelax();
  while (fires_ended_.load(std::memory_order_relaxed) == seen) FutexWait(fires_ended_, seen);
  lock_.lock();
  --waiting_;
}

}  // namespace weft::internal
