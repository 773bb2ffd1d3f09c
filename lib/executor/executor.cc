#include "weft/executor/executor.h"

#include <mutex>
#include <optional>
#include <source_location>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/list.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/time_span.h"

namespace weft {

using internal::CancelCause;
using internal::FutureAccess;
using internal::FutureBase;
using internal::RuntimeCore;
using internal::TaskRun;
using internal::ThreadBlock;

namespace {

CancelCause MakeCause(CancelReason::Kind kind, std::source_location where) noexcept {
  const ThreadBlock* const self = internal::CurrentThread();
  return self == nullptr ? CancelCause(kind, 0, CancelCause::kUnknownTime, where)
                         : CancelCause(kind, self->id, internal::RuntimeNow(), where);
}

}  // namespace

Executor::Executor() = default;

Executor::~Executor() {
  WEFT_CHECK(IsTerminated()) << "the class of this Executor has a destructor without ShutDownAndWait()";
}

// ---- Tasks.

bool Executor::Admit(TaskRun& run) noexcept {
  bool admitted;
  {
    std::lock_guard guard(lock_);
    admitted = !shut_;
    if (admitted) {
      run.group = this;
      runs_.PushBack(&run);
      ++unfinished_;
    }
  }
  if (admitted) {
    Start(run);
  } else {
    run.EndUnstarted(Guest::WhyNot(), uncaught_handler());
  }
  return admitted;
}

Executor::Guest::Guest(Executor& executor) noexcept : thread_(internal::CurrentThread()) {
  std::lock_guard guard(executor.lock_);
  if (executor.shut_) return;
  executor_ = &executor;
  executor.guests_.PushBack(this);
  ++executor.unfinished_;
}

Executor::Guest::~Guest() {
  if (executor_ == nullptr) return;
  {
    std::lock_guard guard(executor_->lock_);
    Guests::Remove(this);
  }
  executor_->Left();
}

absl::Status Executor::Guest::WhyNot() noexcept {
  return internal::Refusal(absl::StatusCode::kFailedPrecondition,
                           "a task is submitted to an executor that was shut down");
}

void Executor::Forget(TaskRun& run) noexcept {
  std::lock_guard guard(lock_);
  Runs::Remove(&run);
}

void Executor::Stay() noexcept {
  std::lock_guard guard(lock_);
  ++unfinished_;
}

// The last one completes the termination, after which the executor may be gone.
void Executor::Left() noexcept {
  std::optional<Future<void>> terminated;
  std::optional<internal::OutsideCall> call;
  RuntimeCore* held;
  {
    std::lock_guard guard(lock_);
    if (--unfinished_ > 0) return;
    terminated.emplace(terminated_.future());
    held = held_;
    if (held != nullptr) call.emplace(*held);  // its carrier waits until this is over, and keeps the runtime
  }
  static_cast<void>(FutureAccess::State(*terminated).Complete(absl::OkStatus()));
  if (held != nullptr) internal::RingHeld(*held);
}

// ---- The end.

// A destructor on a virtual thread, or in a callback of a carrier.
struct Executor::CarrierHold {
  // False: the last task has left. Otherwise it rings the carriers of `runtime` that are held.
  static bool Begin(void* of, RuntimeCore& runtime) noexcept {
    auto& executor = *static_cast<Executor*>(of);
    std::lock_guard guard(executor.lock_);
    if (executor.unfinished_ == 0) return false;
    executor.held_ = &runtime;
    return true;
  }
  static bool IsOver(void* of) noexcept { return static_cast<Executor*>(of)->IsTerminated(); }
  // Is `thread` one of its tasks, or in the tree below one?
  static bool IsTask(const Executor& executor, const ThreadBlock& thread) noexcept {
    const ThreadBlock* root = &thread;
    while (const internal::ScopeRecord* const home = root->home()) root = home->owner;
    return static_cast<const internal::RootBlock*>(root)->keeper() == &executor;
  }
  // A guest is one for as long as it is queued, and nobody becomes one any more.
  static bool IsGuest(Executor& executor, const ThreadBlock& thread) noexcept {
    std::lock_guard guard(executor.lock_);
    Guest* guest = executor.guests_.front();
    while (guest != nullptr && !guest->IsOf(thread)) guest = executor.guests_.Next(guest);
    return guest != nullptr;
  }
  static bool MayRun(void* of, const ThreadBlock& thread) noexcept {
    auto& executor = *static_cast<Executor*>(of);
    return IsTask(executor, thread) || IsGuest(executor, thread);
  }
};

bool Executor::IsShutdown() const noexcept {
  std::lock_guard guard(lock_);
  return shut_;
}

// Before that is seen, OnShutdown() is over: a run that sees it is not followed by another.
void Executor::Shutdown() noexcept {
  OnShutdown();
  {
    std::lock_guard guard(lock_);
    if (std::exchange(shut_, true)) return;
  }
  Left();
}

// Counts itself until all are asked: whoever waits for the last task may destroy the executor.
void Executor::ShutdownNow(std::source_location where) noexcept {
  OnShutdown();
  {
    std::lock_guard guard(lock_);
    const bool first = !std::exchange(shut_, true);  // if so, it has the count that an open executor has
    if (!first && unfinished_ == 0) return;
    if (!first) ++unfinished_;
  }
  AskAll(MakeCause(CancelReason::Kind::kShutdown, where));
  Left();
}

// The executor is shut down: nothing is added any more. Asking a task may end it, and then takes lock_; so some are
// taken out of the list and kept by their futures meanwhile.
void Executor::AskAll(const CancelCause& cause) noexcept {
  constexpr int kBatch = 64;
  FutureBase* kept[kBatch];
  for (int count = kBatch; count == kBatch;) {
    count = 0;
    {
      std::lock_guard guard(lock_);
      while (count < kBatch) {
        TaskRun* const run = runs_.PopFront();
        if (run == nullptr) break;
        asked_.PushBack(run);
        kept[count] = &run->future();
        kept[count++]->Keep();
      }
    }
    for (int i = 0; i < count; ++i) {
      kept[i]->RequestCancel(cause);
      kept[i]->LetGo();
    }
  }
}

bool Executor::AwaitTerminationBlocking(TimeSpan timeout) const noexcept {
  return FutureAccess::State(terminated_.future()).AwaitBlocking("Executor::AwaitTerminationBlocking()", timeout);
}

// Once it has terminated, which Shutdown() may bring about, another thread may destroy it.
void Executor::CloseBlocking() noexcept {
  CheckMayWait("CloseBlocking() of an Executor");
  const Future<void> terminated = terminated_.future();
  Shutdown();
  static_cast<void>(FutureAccess::State(terminated).AwaitBlocking("Executor::CloseBlocking()"));
}

Task<void> Executor::Close() {
  struct AtEnd {
    ~AtEnd() {
      if (!terminated.IsDone()) executor.ShutdownNow();
    }
    Executor& executor;
    const Future<void> terminated;
  };
  CheckMayWait("Close() of an Executor");
  const AtEnd at_end{*this, terminated_.future()};
  Shutdown();
  co_await at_end.terminated.Get();
}

void Executor::CheckMayWait(const char* what) const noexcept {
  WEFT_CHECK(!IsOwnOsThread())
      << what << " by a closure that runs on an OS thread of it: it would wait for itself";
  const ThreadBlock* const self = internal::CurrentThread();
  WEFT_CHECK(self == nullptr || !CarrierHold::IsTask(*this, *self))
      << what << " by " << internal::DescribeThread(*self) << ", which is a task of it, or below one: it would wait "
         "for itself";
}

void Executor::ShutDownAndWait(std::source_location where) noexcept {
  CheckMayWait("the destruction of an Executor");
  Shutdown();
  AskAll(MakeCause(CancelReason::Kind::kScopeClosed, where));
  if (IsTerminated()) return;
  if (internal::CurrentCarrier() != nullptr) {
    internal::RunThreadsUntilOver({.of = this,
                                   .begin = &CarrierHold::Begin,
                                   .over = &CarrierHold::IsOver,
                                   .may_run = &CarrierHold::MayRun});
    // The last task may have left before there was anybody to ring. All that it still does is to say so. (Left)
    while (!IsTerminated()) std::this_thread::yield();
  } else {
    static_cast<void>(FutureAccess::State(terminated_.future()).AwaitBlocking("the destruction of an Executor"));
  }
}

}  // namespace weft
