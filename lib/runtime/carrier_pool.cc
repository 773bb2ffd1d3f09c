#include "lib/runtime/carrier_pool.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/base/fence.h"
#include "lib/runtime/runtime_core.h"

namespace weft::internal {

CarrierPool::CarrierPool(RuntimeCore& runtime, int max_pool_size) noexcept : runtime_(runtime) {
  carriers_.reserve(static_cast<size_t>(max_pool_size));
}

absl::Status CarrierPool::Start() noexcept {
  std::lock_guard guard(lock_);
  const int parallelism = runtime_.config.parallelism;
  limit_.store(static_cast<uint32_t>(parallelism), std::memory_order_relaxed);
  for (int i = 0; i < parallelism; ++i) {
    if (absl::Status why; !AddLocked(&why)) return why;
  }
  return absl::OkStatus();
}

// The new carrier may run before others can find it. Returns false, and changes nothing, if something for it is
// missing; then `why`, unless it is null, says what.
bool CarrierPool::AddLocked(absl::Status* why) noexcept {
  const auto index = static_cast<uint32_t>(carriers_.size());
  std::unique_ptr<Carrier> made = Carrier::Make(runtime_, index);
  if (made == nullptr) {
    if (why != nullptr) *why = absl::ResourceExhaustedError("no memory for a carrier");
    return false;
  }
  carriers_.push_back(std::move(made));  // there is room
  if (!runtime_.host->StartCarrier(*carriers_.back(), why)) {
    carriers_.pop_back();
    return false;
  }
  // [carriers/1] release: pairs with [carriers/2], whose callers use the carriers below it.
  count_.store(index + 1, std::memory_order_release);
  return true;
}

uint32_t CarrierPool::LimitWhile(int blocked) const noexcept {
  const RuntimeConfig& config = runtime_.config;
  const int spares = std::max(0, config.min_runnable - (config.parallelism - blocked)) + held_;
  return static_cast<uint32_t>(std::min(config.parallelism + spares, config.max_pool_size));
}

// Rings those that may run now, and those that may run no more: a retired one waits for other events. (Driver::Waits)
void CarrierPool::SetLimitLocked(uint32_t limit) noexcept {
  const uint32_t before = limit_.load(std::memory_order_relaxed);
  limit_.store(limit, std::memory_order_relaxed);
  const uint32_t end = std::min(std::max(before, limit), count());
  for (uint32_t i = std::min(before, limit); i < end; ++i) runtime_.host->Ring(at(i));
}

// Makes the carriers that are missing, and calls back those that have retired. False: there are not as many as may run.
bool CarrierPool::RaiseLimitLocked() noexcept {
  const uint32_t limit = LimitLocked();
  while (carriers_.size() < limit) {
    if (!AddLocked(/*why=*/nullptr)) break;
  }
  SetLimitLocked(limit);
  return carriers_.size() >= limit;
}

// A carrier whose thread waits in a destructor runs only descendants of that thread's scope. If too few carriers are
// left for the other threads, a spare one takes its place meanwhile.
void CarrierPool::EnterBlocked(Carrier& blocked) noexcept {
  if (blocked.blocked.fetch_add(1, std::memory_order_relaxed) > 0) return;  // it is counted already
  std::lock_guard guard(lock_);
  ++blocked_;
  any_blocked_.store(blocked_, std::memory_order_relaxed);
  // Without a spare one the other threads wait. The children run here, so this destructor ends.
  static_cast<void>(RaiseLimitLocked());
  // [blocked/1] heavy: pairs with [idle/2], with [publish/1] and [publish/2], and with [blocked/2]. Whoever makes work
  // sees that we are blocked, or we see the work.
  HeavyFence();
}

void CarrierPool::LeaveBlocked(Carrier& blocked) noexcept {
  if (blocked.blocked.fetch_sub(1, std::memory_order_relaxed) > 1) return;
  std::lock_guard guard(lock_);
  --blocked_;
  short_ = false;
  any_blocked_.store(blocked_, std::memory_order_relaxed);
  SetLimitLocked(LimitLocked());
}

void CarrierPool::RingBlocked() noexcept {
  StoreLoadFence();  // [blocked/2] seq_cst: pairs with [blocked/1]. A blocked carrier is rung, or sees our work
  for (uint32_t i = 0; i < count(); ++i) {
    Carrier& each = at(i);
    if (each.blocked.load(std::memory_order_relaxed) > 0 && &each != Carrier::Current()) runtime_.host->Ring(each);
  }
}

bool CarrierPool::MayHoldForPermit(int owners, bool urgent) noexcept {
  const int max_pool_size = runtime_.config.max_pool_size;
  if (owners > std::max(urgent ? max_pool_size - 1 : max_pool_size / 2, 1)) return false;
  std::lock_guard guard(lock_);
  const uint32_t limit = LimitWhile(owners);
  while (carriers_.size() < limit && !short_) short_ = !AddLocked(/*why=*/nullptr);
  const auto free = static_cast<int>(std::min<size_t>(carriers_.size(), limit)) - held_ - owners;
  return free > 0 || (owners == 1 && (urgent || !runtime_.HasWork()));
}

bool CarrierPool::AddSpareForHeld() noexcept {
  std::lock_guard guard(lock_);
  const uint32_t before = LimitLocked();
  ++held_;
  if (LimitLocked() > before && RaiseLimitLocked()) return true;
  --held_;
  SetLimitLocked(before);
  return false;
}

void CarrierPool::RemoveSpareForHeld() noexcept {
  std::lock_guard guard(lock_);
  --held_;
  SetLimitLocked(LimitLocked());
}

}  // namespace weft::internal
