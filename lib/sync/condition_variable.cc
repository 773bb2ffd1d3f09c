#include "weft/sync/condition_variable.h"

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/cancel/press.h"
#include "lib/sync/condition_state.h"
#include "lib/sync/lock_state.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {
namespace {

using Steps = ConditionSteps<ThreadBlock>;

bool Withdraw(ThreadBlock& thread) noexcept {
  LockHolder holder;
  const Steps::Withdrawn how = Steps::Withdraw(thread, holder);
  if (how == Steps::Withdrawn::kForLock) PressHolder(holder.thread, holder.scopes_opened);
  return how == Steps::Withdrawn::kWithLock;
}

// Who holds the lock, if that is what it waits for.
std::string Whose(const ThreadBlock& thread) {
  const auto& wait = static_cast<const ConditionWait&>(*static_cast<const LockWait*>(thread.waiting_on));
  if (wait.phase == ConditionWait::Phase::kWaiting) return std::string();
  return absl::StrCat(wait.phase == ConditionWait::Phase::kNotified ? ", notified" : ", cancelled",
                      ", for its lock, held by ", ThreadLabel(wait.lock->holder.holder().id));
}

constinit const WaitKind kWait = {ParkReason::kCondition,  /*timed=*/false, &Withdraw,
                                  /*cancel_wins=*/false, /*for_children=*/false, &Whose};

constexpr char kOtherLock[] = ", while others wait with another lock: all who wait at a time must have the same";

}  // namespace

ConditionCore::~ConditionCore() {
  std::lock_guard guard(waiters.lock);
  WaitNode* const first = waiters.nodes.front();
  WEFT_CHECK(first == nullptr) << "a ConditionVariable is destroyed by " << DescribeCaller() << " while "
                               << (first->wait_state == WaitNode::State::kOsThread
                                       ? "an OS thread"
                                       : DescribeThread(WaitQueue<ThreadBlock>::ThreadOf(*first)))
                               << " waits for it";
}

LockCore& ConditionCore::HeldBy(const ExclusiveHold& guard, const char* call) noexcept {
  WEFT_CHECK(guard.lock_ != nullptr) << "ConditionVariable::" << call << "() by " << DescribeCaller()
                                     << " with a guard that holds nothing";
  return *guard.lock_;
}

void ConditionCore::Suspend(ConditionWait& wait, AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, static_cast<LockWait*>(&wait))) return;
  WEFT_CHECK(Steps::Add(wait, *CurrentThread())) << "ConditionVariable::Wait() by " << DescribeCaller() << kOtherLock;
}

void ConditionCore::Block(LockCore& held) noexcept {
  WEFT_CHECK(CurrentCarrier() == nullptr)
      << "ConditionVariable::WaitBlocking() by " << DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits the form without Blocking";
  ConditionWait wait(*this, &held);
  OsLockNode<ThreadBlock> self(wait);
  WEFT_CHECK(Steps::Add(wait, self)) << "ConditionVariable::WaitBlocking()" << kOtherLock;
  self.Await();
}

void ConditionCore::Notify(int64_t count) noexcept {
  LockHolder holder;
  if (Steps::Notify(*this, count, holder)) PressHolder(holder.thread, holder.scopes_opened);
}

int64_t ConditionCore::QueueLength() noexcept { return QueueLengthOf(waiters); }

}  // namespace weft::internal
