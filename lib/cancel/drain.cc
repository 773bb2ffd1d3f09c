#include "lib/cancel/drain.h"

#include <cstdint>
#include <mutex>

namespace weft::internal {

WantedLocks::Stripe& WantedLocks::StripeOf(const HeldLock& held) noexcept {
  return stripes_[reinterpret_cast<uintptr_t>(&held) / 64 % kDrainStripes];
}

void WantedLocks::Add(HeldLock& held) noexcept {
  Stripe& stripe = StripeOf(held);
  std::lock_guard guard(stripe.lock);
  stripe.locks.PushBack(&held);
}

void WantedLocks::Remove(HeldLock& held) noexcept {
  Stripe& stripe = StripeOf(held);
  std::lock_guard guard(stripe.lock);
  stripe.locks.Remove(&held);
}

bool WantedLocks::AnyHeldBy(ThreadKey thread, uint32_t since) noexcept {
  for (Stripe& stripe : stripes_) {
    std::lock_guard guard(stripe.lock);
    for (HeldLock* held = stripe.locks.front(); held != nullptr; held = stripe.locks.Next(held)) {
      if (held->holder() == thread && IsSince(held->scopes_opened(), since)) return true;
    }
  }
  return false;
}

}  // namespace weft::internal
