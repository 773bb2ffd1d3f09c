// The members of VirtualThread that wait for a thread, or ask it to end.
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/cancel/cancel_request.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "lib/thread/thread_end.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/internal/wait.h"
#include "weft/virtual_thread.h"

namespace weft {

using internal::RuntimeCore;
using internal::ThreadBlock;
using internal::ThreadEnd;
using internal::ThreadIdentity;

namespace internal {

constinit const WaitKind JoinAwaiter::kWait = {
    .reason = ParkReason::kThreadEnd,
    .timed = false,
    .withdraw =
        [](ThreadBlock& thread) noexcept {
          Waiters& joiners = static_cast<ThreadIdentity*>(thread.waiting_on)->joiners;
          LockGuard guard(joiners.lock);
          return joiners.WithdrawLocked(thread);
        },
    .whose =
        [](const ThreadBlock& thread) {
          return static_cast<ThreadIdentity*>(thread.waiting_on)->With([](const ThreadBlock* joined) {
            return joined == nullptr ? std::string() : absl::StrCat(", of ", ThreadLabel(*joined));
          });
        },
};

constinit const SelectableWait<ThreadBlock> JoinAwaiter::kSelect = {
    .lock = [](void* joined) noexcept { return &static_cast<ThreadIdentity*>(joined)->joiners.lock; },
    .take = [](void* joined) noexcept {
      return SelectTaken{.taken = static_cast<ThreadIdentity*>(joined)->Attend()};
    },
    .finish = nullptr,
    .add = [](void* joined,
              WaitCase<ThreadBlock>& node) noexcept { static_cast<ThreadIdentity*>(joined)->joiners.Add(node); },
    .after_add = nullptr,
    .take_back = [](void* joined,
                    WaitCase<ThreadBlock>& node) noexcept {
      static_cast<ThreadIdentity*>(joined)->joiners.TakeBack(node);
    },
};

void JoinAwaiter::CheckOther() const noexcept {
  const ThreadBlock& self = RequireThread("Join()");
  WEFT_CHECK(self.identity() != joined_) << DescribeThread(self) << " joins itself, and would wait for ever";
}

SelectPart JoinAwaiter::ForSelect() const noexcept {
  CheckOther();
  return {joined_, &kSelect};
}

bool JoinAwaiter::Suspend(AwaitingFrame frame) const noexcept {
  CheckOther();
  return WaitIn(joined_->joiners, joined_, frame, kWait, [this] { return joined_->Attend(); });
}

}  // namespace internal

absl::Status VirtualThread::JoinBlocking() const {
  WEFT_CHECK(internal::CurrentCarrier() == nullptr)
      << "JoinBlocking() of " << ToString() << " on a carrier would hold it; co_await Join()";
  const ThreadBlock* const caller = internal::CallingThread();
  WEFT_CHECK(caller == nullptr || caller->identity() != identity_)
      << ToString() << " joins itself, by a function that it awaits in Blocking(), and would wait for ever";
  // Its runtime may otherwise end as soon as the thread has ended, and before we have seen that.
  std::optional<internal::RuntimeHold> hold;
  identity_->With([&hold](ThreadBlock* thread) {
    if (thread != nullptr) hold.emplace(thread->runtime());
  });
  if (hold.has_value()) {
    internal::Atomic<uint32_t>& stage = identity_->stage;
    while (!identity_->ended()) {
      // relaxed: ended() orders the thread's end.
      const uint32_t seen = stage.fetch_or(ThreadEnd::kAwaited, std::memory_order_relaxed);
      if ((seen & ThreadEnd::kEnded) == 0) hold->AwaitChange(stage, seen | ThreadEnd::kAwaited);
    }
  }
  return identity_->Outcome();
}

void VirtualThread::RequestCancel(Literal why, std::source_location where) const {
  std::optional<internal::OutsideCall> call;
  RuntimeCore* const runtime = identity_->With([&](ThreadBlock* thread) -> RuntimeCore* {
    if (thread == nullptr) return nullptr;
    WEFT_CHECK(thread->home() == nullptr) << "RequestCancel() by " << internal::DescribeCaller() << " of "
                                          << internal::DescribeThread(*thread) << ", which is a thread of a scope of "
                                          << internal::DescribeThread(*thread->home()->owner) << "; shut that down";
    call.emplace(thread->runtime());
    internal::RequestEnd(*thread, internal::Asker::kAlone,
                         {CancelReason::Kind::kRequested, internal::CurrentThreadId(),
                          internal::NowOf(thread->runtime()), where, why.c_str()});
    return &thread->runtime();
  });
  if (runtime != nullptr) internal::RunShutdowns(*runtime, id());
}

}  // namespace weft
