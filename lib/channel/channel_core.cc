#include "weft/channel/channel_core.h"

#include <new>
#include <utility>

#include "absl/status/status.h"
#include "lib/channel/channel_state.h"
#include "lib/channel/ring_locks.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/channel/channel_awaiters.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

using Party = ChannelParty<ThreadBlock>;

}  // namespace

template class ChannelState<ThreadBlock>;

constinit const WaitKind ChannelCore::kSend = {ParkReason::kChannelSend, /*timed=*/false, &Withdraw};
constinit const WaitKind ChannelCore::kReceive = {ParkReason::kChannelReceive, /*timed=*/false, &Withdraw};
constinit const SelectableWait<ThreadBlock> ChannelCore::kSelect = SelectInChannel<ThreadBlock>::kWait;

ChannelCore::ChannelCore(const ElementType& type, int64_t capacity, bool conflated)
    : ChannelState(type, capacity, conflated) {
  WEFT_CHECK(capacity >= 0 || capacity == kUnbounded) << "a Channel with a capacity of " << capacity
                                                      << "; it needs 0 or more, or weft::kUnbounded";
  if (!initialized()) ThrowChannelOutOfMemory();
}

ChannelCore::~ChannelCore() {
  {
    const RingLocks locks(ring());
    if (!SomebodyWaits()) [[likely]]
      return;
  }
  AwaitWithdrawals();
  const RingLocks locks(ring());
  ThreadBlock* const thread = FirstWaiting();
  WEFT_CHECK(!SomebodyWaits()) << "a Channel is destroyed by " << DescribeCaller() << " while "
                               << (thread == nullptr ? "an OS thread" : DescribeThread(*thread)) << " waits in it";
}

bool ChannelCore::Close(absl::Status why) noexcept {
  return ChannelState::Close([this, &why] { status_ = std::move(why); });
}

bool ChannelCore::IsClosed() noexcept {
  const RingLocks locks(ring());
  return closed();
}

absl::Status ChannelCore::status() noexcept {
  const RingLocks locks(ring());
  return status_;
}

// If the outcome is there at once, or was there before, we are here because it was not a moment ago, or because this
// thread has used up its turn.
void ChannelCore::Suspend(Party& party, AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, party.sends ? kSend : kReceive, &party)) return;
  if (party.outcome != ChannelOutcome::kPending || TryOrAdd(party, *CurrentThread())) YieldInstead();
}

void ChannelCore::Block(Party& party) noexcept {
  WEFT_CHECK(CurrentCarrier() == nullptr)
      << "Channel::" << (party.sends ? "Send" : "Receive") << "Blocking() by " << DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits the form without Blocking";
  OsThreadNode<ThreadBlock> self(party);
  if (!TryOrAdd(party, self)) self.Await();
}

void ThrowChannelOutOfMemory() {
#if WEFT_EXCEPTIONS
  throw std::bad_alloc();
#else
  DieOutOfMemory(0, "the values of a channel");
#endif
}

}  // namespace weft::internal
