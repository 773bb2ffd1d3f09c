// Layer runtime. How many carriers are there, and how many of them may run?
//
// `parallelism` run. Above them are spare ones, `max_pool_size` carriers at most together. A spare one runs
//
//   while a scope's destructor holds a carrier (EnterBlocked), if fewer than `min_runnable` are free then;
//   while a thread holds one otherwise, and others could run (AddSpareForHeld, by the watchdog).
//
// The limit is the number of carriers that may run: those with an index below it. When it goes down, those above it are
// rung, and retire at their next look: a retired carrier serves its timers and operations, on epoll only if a thread is
// pinned to it, and leaves the threads that these wake to others (Carrier::Retire). It is called back when the limit
// goes up again, and a new one is made only where those are too few.
//
// Who may call: any thread.
#ifndef WEFT_LIB_RUNTIME_CARRIER_POOL_H_
#define WEFT_LIB_RUNTIME_CARRIER_POOL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "lib/runtime/carrier.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class RuntimeCore;

class CarrierPool {
 public:
  CarrierPool(RuntimeCore& runtime, int max_pool_size) noexcept;
  CarrierPool(const CarrierPool&) = delete;
  CarrierPool& operator=(const CarrierPool&) = delete;

  // Starts `parallelism` carriers. An error leaves those running that were started.
  absl::Status Start() noexcept;

  // [carriers/2] acquire: pairs with [carriers/1].
  uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  Carrier& at(uint32_t index) noexcept { return *carriers_[index]; }
  bool MayRun(const Carrier& carrier) const noexcept { return carrier.index < limit(); }
  uint32_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  // A hint: is any carrier held by a scope's destructor?
  bool any_blocked() const noexcept { return any_blocked_.load(std::memory_order_relaxed) > 0; }

  // The carrier itself, whose thread begins to wait in a destructor, or has done so.
  void EnterBlocked(Carrier& carrier) noexcept;
  void LeaveBlocked(Carrier& carrier) noexcept;
  // Rings the carriers that wait in a destructor: a child may have ended, or work may be for one.
  void RingBlocked() noexcept;

  // May so many owners that drain hold carriers for permits? One is about to. At most half of the carriers that
  // there may be, or, `urgent`, all but one. And one is free besides, for the children of others; it is made if it is
  // missing. If there can be one carrier only, an owner may hold that if nothing else is to be done, or if `urgent`.
  [[nodiscard]] bool MayHoldForPermit(int owners, bool urgent) noexcept;

  // The watchdog, for a carrier that is held by what its thread does: lets one more carrier run. False: there are as
  // many as there may be, or something for another is missing.
  [[nodiscard]] bool AddSpareForHeld() noexcept;
  void RemoveSpareForHeld() noexcept;

 private:
  bool AddLocked(absl::Status* why) noexcept;
  uint32_t LimitLocked() const noexcept { return LimitWhile(blocked_); }
  uint32_t LimitWhile(int blocked) const noexcept;
  void SetLimitLocked(uint32_t limit) noexcept;
  bool RaiseLimitLocked() noexcept;

  RuntimeCore& runtime_;
  std::vector<std::unique_ptr<Carrier>> carriers_;  // reserved for max_pool_size; grows under lock_
  Atomic<uint32_t> count_{0};
  Atomic<uint32_t> limit_{0};  // relaxed: a hint; a late look costs one dispatch
  Lock lock_;
  int blocked_ = 0;     // under lock_
  int held_ = 0;        // under lock_: spare carriers for held ones
  bool short_ = false;  // under lock_: one more could not be made, and no destructor has ended its wait since
  Atomic<int32_t> any_blocked_{0};  // written under lock_. relaxed: the fences at [blocked/1] order it
};

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_CARRIER_POOL_H_
