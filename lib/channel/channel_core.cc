#include "weft/channel/channel_core.h"

#include <mutex>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "lib/channel/channel_state.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/channel/channel.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

using Party = ChannelParty<ThreadBlock>;

// WaitKind::withdraw of a wait whose `waiting_on` is the party.
bool WithdrawParty(ThreadBlock& thread) noexcept {
  return static_cast<Party*>(thread.waiting_on)->channel->Withdraw(thread);
}

void CheckMayBlock(const char* what) {
  WEFT_CHECK(CurrentCarrier() == nullptr)
      << what << " by " << DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits the form without Blocking";
}

}  // namespace

template class ChannelState<ThreadBlock>;

constinit const WaitKind ChannelCore::kSend = {ParkReason::kChannelSend, /*timed=*/false, &WithdrawParty};
constinit const WaitKind ChannelCore::kReceive = {ParkReason::kChannelReceive, /*timed=*/false, &WithdrawParty};
constinit const SelectableWait<ThreadBlock> ChannelCore::kSelectSend = SelectInChannel<ThreadBlock, true>::kWait;
constinit const SelectableWait<ThreadBlock> ChannelCore::kSelectReceive = SelectInChannel<ThreadBlock, false>::kWait;

ChannelCore::ChannelCore(const ElementType& type, int64_t capacity, bool conflated)
    : ChannelState(type, capacity, conflated) {
  WEFT_CHECK(capacity >= 0 || capacity == kUnbounded) << "a Channel with a capacity of " << capacity
                                                      << "; it needs 0 or more, or weft::kUnbounded";
  if (!initialized()) ThrowChannelOutOfMemory();
}

ChannelCore::~ChannelCore() {
  std::lock_guard guard(lock());
  if (!SomebodyWaits()) [[likely]]
    return;
  ThreadBlock* const thread = FirstWaiting();
  WEFT_CHECK(!SomebodyWaits()) << "a Channel is destroyed by " << DescribeCaller() << " while "
                               << (thread == nullptr ? "an OS thread" : DescribeThread(*thread)) << " waits in it";
}

bool ChannelCore::Close(absl::Status why) noexcept {
  return ChannelState::Close([this, &why] { status_ = std::move(why); });
}

bool ChannelCore::IsClosed() noexcept {
  std::lock_guard guard(lock());
  return closed();
}

absl::Status ChannelCore::status() noexcept {
  std::lock_guard guard(lock());
  return status_;
}

// In both the outcome is there when it was there already: we are here because it was not a moment ago, or because this
// thread has used up its turn.
void ChannelCore::SuspendSend(Party& party, AwaitingFrame frame) noexcept {
  if (EnterWait(frame, kSend, &party) && SendOrAdd(party, *CurrentThread()) != ChannelOutcome::kPending) YieldInstead();
}

void ChannelCore::SuspendReceive(Party& party, AwaitingFrame frame) noexcept {
  if (EnterWait(frame, kReceive, &party) && ReceiveOrAdd(party, *CurrentThread()) != ChannelOutcome::kPending) {
    YieldInstead();
  }
}

void ChannelCore::SendBlocking(Party& party) noexcept {
  CheckMayBlock("Channel::SendBlocking()");
  OsThreadNode<ThreadBlock> self(party);
  if (SendOrAdd(party, self) == ChannelOutcome::kPending) Await(self);
}

void ChannelCore::ReceiveBlocking(Party& party) noexcept {
  CheckMayBlock("Channel::ReceiveBlocking()");
  OsThreadNode<ThreadBlock> self(party);
  if (ReceiveOrAdd(party, self) == ChannelOutcome::kPending) Await(self);
}

void ThrowChannelOutOfMemory() {
#if WEFT_EXCEPTIONS
  throw std::bad_alloc();
#else
  DieOutOfMemory(0, "the values of a channel");
#endif
}

}  // namespace weft::internal
