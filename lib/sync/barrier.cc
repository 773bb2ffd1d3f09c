#include "weft/sync/barrier.h"

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

const internal::WaitKind Barrier::kWait = {
    internal::ParkReason::kBarrier, /*timed=*/false, &Barrier::Withdraw, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      const Barrier& barrier = static_cast<Party*>(thread.waiting_on)->barrier;
      return absl::StrCat(", ", barrier.waiting_, " of ", barrier.parties_, " have arrived");
    }};

Barrier::Barrier(int64_t parties) : parties_(parties) { CheckParties(parties); }

void Barrier::CheckParties(int64_t parties) {
  WEFT_CHECK(parties > 0) << "a Barrier of " << parties << " parties; it needs 1 or more";
}

Barrier::~Barrier() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Barrier is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
  WEFT_CHECK(!action_runs_) << "a Barrier is destroyed by " << internal::DescribeCaller() << " while its action runs";
}

Barrier::Party& Barrier::PartyOf(internal::WaitNode& node) noexcept {
  return *static_cast<Party*>(internal::Waiters::ThreadOf(node).waiting_on);
}

// Under the lock. True: it is over, and `woken` have been granted.
bool Barrier::ArriveLocked(Party& party, internal::WaitNodes& woken) noexcept {
  if (breach_.cause != Cause::kNone) {
    party.breach = breach_;
    party.outcome = Outcome::kBroken;
    return true;
  }
  if (action_runs_ || waiting_ < parties_ - 1) return false;
  CompleteLocked(party, woken);
  return true;
}

// Under the lock: `last` has come, and is in no queue. Those before it leave the queue. They cannot be cancelled any
// more, and go on at once, or after the action.
void Barrier::CompleteLocked(Party& last, internal::WaitNodes& woken) noexcept {
  action_runs_ = action_ != nullptr;
  internal::WaitNodes& others = action_runs_ ? last.others : woken;
  for (int64_t still_to_come = parties_ - 1; still_to_come > 0; --still_to_come) {
    internal::WaitNode& node = *waiters_.Grant();
    PartyOf(node).still_to_come = still_to_come;
    PartyOf(node).outcome = Outcome::kMet;
    others.PushBack(&node);
  }
  waiting_ -= parties_ - 1;
  last.still_to_come = 0;
  last.outcome = action_runs_ ? Outcome::kCallsTheAction : Outcome::kMet;
}

// Under the lock.
void Barrier::BreakLocked(Breach breach, internal::WaitNodes& woken) noexcept {
  breach_ = breach;
  waiting_ = 0;
  while (internal::WaitNode* const node = waiters_.Grant()) {
    PartyOf(*node).breach = breach;
    PartyOf(*node).outcome = Outcome::kBroken;
    woken.PushBack(node);
  }
}

bool Barrier::ArriveIfOver(Party& party) noexcept {
  internal::WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    if (!ArriveLocked(party, woken)) return false;
  }
  internal::Waiters::WakeAll(woken);
  return true;
}

bool Barrier::Suspend(Party& party, internal::AwaitingFrame frame) noexcept {
  internal::WaitNodes woken;
  if (!internal::EnterWait(frame, kWait, &party)) {
    // Cancelled as it arrives.
    {
      std::lock_guard guard(waiters_.lock);
      if (breach_.cause == Cause::kNone) BreakLocked({Cause::kCancelled, internal::CurrentThreadId()}, woken);
    }
    internal::Waiters::WakeAll(woken);
    return true;
  }
  {
    std::lock_guard guard(waiters_.lock);
    if (!ArriveLocked(party, woken)) {
      ++waiting_;
      waiters_.Add(*internal::CurrentThread());
      return true;
    }
  }
  internal::YieldInstead();
  internal::Waiters::WakeAll(woken);
  return true;
}

// The others are woken here, under the records lock of the thread that is cancelled, and not when its frame goes: that
// may have to wait for children which wait for them.
bool Barrier::Withdraw(internal::ThreadBlock& thread) noexcept {
  Barrier& barrier = static_cast<Party*>(thread.waiting_on)->barrier;
  internal::WaitNodes woken;
  {
    std::lock_guard guard(barrier.waiters_.lock);
    if (!barrier.waiters_.WithdrawLocked(thread)) return false;
    barrier.BreakLocked({Cause::kCancelled, thread.id}, woken);
  }
  internal::Waiters::WakeAll(woken);
  return true;
}

void Barrier::Reset() noexcept {
  internal::WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    BreakLocked({Cause::kReset, internal::CurrentThreadId()}, woken);
    breach_ = {};
  }
  internal::Waiters::WakeAll(woken);
}

bool Barrier::IsBroken() noexcept {
  std::lock_guard guard(waiters_.lock);
  return breach_.cause != Cause::kNone;
}

int64_t Barrier::waiting() noexcept {
  std::lock_guard guard(waiters_.lock);
  return waiting_;
}

// One call of the action. Its destructor ends the round, also if the action throws.
class Barrier::ActionCall {
 public:
  explicit ActionCall(Party& caller) noexcept : caller_(caller) {}
  ActionCall(const ActionCall&) = delete;
  ActionCall& operator=(const ActionCall&) = delete;
  ~ActionCall() { caller_.barrier.EndAction(caller_, ok); }

  bool ok = false;

 private:
  Party& caller_;
};

absl::StatusOr<int64_t> Barrier::End(Party& party) {
  if (party.outcome == Outcome::kCallsTheAction) {
    ActionCall call(party);
    absl::Status status = action_();
    call.ok = status.ok();
    if (!call.ok) return status;
  }
  if (party.outcome != Outcome::kBroken) return party.still_to_come;
  const std::string who = internal::ThreadLabel(party.breach.thread);
  switch (party.breach.cause) {
    case Cause::kNone:
    case Cause::kCancelled:
      return absl::AbortedError(absl::StrCat("the barrier is broken: ", who, " was cancelled at it"));
    case Cause::kAction:
      return absl::AbortedError(absl::StrCat("the barrier is broken: its action, called by ", who, ", has failed"));
    case Cause::kReset:
      return absl::AbortedError(absl::StrCat("the barrier was reset by ", who));
  }
  return absl::InternalError("a barrier that is broken by nothing");
}

// The others of the round go on. If so many have come meanwhile that the next one is complete, the last of them calls
// the action.
void Barrier::EndAction(Party& caller, bool ok) noexcept {
  const Breach breach = {Cause::kAction, internal::CurrentThreadId()};
  internal::WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    action_runs_ = false;
    while (internal::WaitNode* const node = caller.others.PopFront()) {
      if (!ok) {
        PartyOf(*node).breach = breach;
        PartyOf(*node).outcome = Outcome::kBroken;
      }
      woken.PushBack(node);
    }
    if (!ok) {
      BreakLocked(breach, woken);
    } else if (waiting_ >= parties_) {
      // Its last party is the one behind those that CompleteLocked() takes out.
      Party last(*this);
      CompleteLocked(last, woken);
      internal::WaitNode& node = *waiters_.Grant();
      --waiting_;
      PartyOf(node).outcome = Outcome::kCallsTheAction;
      PartyOf(node).others.Splice(last.others);
      woken.PushBack(&node);
    }
  }
  internal::Waiters::WakeAll(woken);
}

}  // namespace weft
