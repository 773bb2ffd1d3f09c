#include "weft/sync/exchanger.h"

#include <mutex>

#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

const WaitKind ExchangerCore::kWait = {ParkReason::kExchanger, /*timed=*/false, &ExchangerCore::Withdraw};

ExchangerCore::~ExchangerCore() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "an Exchanger is destroyed by " << DescribeCaller() << " while "
                                     << DescribeThread(waiters_.First()) << " waits in it";
}

bool ExchangerCore::Meet(ExchangeParty& party) noexcept {
  WaitNode* partner;
  {
    std::lock_guard guard(waiters_.lock);
    partner = waiters_.Grant();
  }
  if (partner == nullptr) return false;
  Finish(party, *partner);
  return true;
}

// Without the lock: the partner has been granted, so its frame stays until it is woken. That may destroy the exchanger.
void ExchangerCore::Finish(ExchangeParty& party, WaitNode& partner) noexcept {
  ThreadBlock& thread = Waiters::ThreadOf(partner);
  auto& other = *static_cast<ExchangeParty*>(thread.waiting_on);
  move_(party, other);
  party.done = other.done = true;
  Wake(thread);
}

bool ExchangerCore::Suspend(ExchangeParty& party, AwaitingFrame frame) noexcept {
  WaitNode* partner = nullptr;
  const bool suspended = WaitIn(waiters_, &party, frame, kWait, [&] {
    partner = waiters_.Grant();
    return partner != nullptr;
  });
  if (partner != nullptr) Finish(party, *partner);
  return suspended;
}

bool ExchangerCore::Withdraw(ThreadBlock& thread) noexcept {
  Waiters& waiters = static_cast<ExchangeParty*>(thread.waiting_on)->exchanger->waiters_;
  std::lock_guard guard(waiters.lock);
  return waiters.WithdrawLocked(thread);
}

}  // namespace weft::internal
