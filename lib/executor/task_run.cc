#include "weft/executor/task_run.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/cancel/cancel_request.h"
#include "lib/cancel/open_record.h"
#include "lib/os/stand_in.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_state.h"
#include "weft/cancel_reason.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/compiler.h"
#include "weft/internal/thread_identity.h"

namespace weft::internal {
namespace {

// What make() returns, or no more than its code, if there is no memory for that.
template <class Make>
absl::Status WithWords(absl::StatusCode code, const Make& make) noexcept {
#if WEFT_EXCEPTIONS
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return absl::Status(code, "");
  }
#else
  static_cast<void>(code);
  return make();
#endif
}

absl::Status WithoutOsThread(int error) {
  // EAGAIN means a limit on OS threads here; elsewhere, a descriptor that is not ready.
  const absl::Status why = ErrnoToStatus(error, "a ThreadPoolExecutor has no OS thread, and none can be made");
  absl::Status status = absl::ResourceExhaustedError(why.message());
  why.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
  return status;
}

}  // namespace

// ---- The start.

// From here on it can be asked to end, by its future, by its group, and by its runtime.
void TaskRun::StartOn(RuntimeCore& core, ThreadIdentity* identity) noexcept {
  CheckRunsHere(core);
  BeginUnscoped(core);
  PrepareThread(*this, core);
  if (identity != nullptr) SetIdentity(*identity);
  ListRoot(*this);
  {
    std::lock_guard guard(lock_);
    phase_ = Phase::kOnThread;
    if (asked_early_.has_value()) RequestEnd(*this, Asker::kAlone, *asked_early_);
  }
  StartThread(*this);
}

void TaskRun::RunJob(Job& job) noexcept {
  auto& run = static_cast<TaskRun&>(job);
  std::optional<CancelCause> asked;
  {
    std::lock_guard guard(run.lock_);
    asked = run.asked_early_;
  }
  if (asked.has_value() && !run.OwesCleanUp()) return run.EndUnstarted(*asked);
  if (!run.needs_thread()) return run.CallHere();
  // The task leaves the pool before we have dropped its outcome, of which nobody else may have a handle any more.
  TaskGroup& pool = *run.group;
  pool.Stay();
  FutureBase& done = run.future();
  done.Keep();
  if (RuntimeCore* const runtime = run.HeldWhileQueued()) {
    run.StartOn(*runtime);
    EndUnscoped(*runtime);
  } else {
    HeldRuntime held(nullptr);
    run.StartOn(held.core());
  }
  static_cast<void>(done.AwaitBlocking("a task of a ThreadPoolExecutor"));
  done.LetGo();
  pool.Left();
}

void TaskRun::RefuseJob(Job& job, int error) noexcept {
  auto& run = static_cast<TaskRun&>(job);
  run.EndUnstarted(WithWords(absl::StatusCode::kResourceExhausted, [error] { return WithoutOsThread(error); }),
                   run.group->uncaught_handler());
}

// On an OS thread that runs no virtual thread.
void TaskRun::CallHere() noexcept {
  const CallOrigin outside = ExchangeCallOrigin({});
  ExchangeCallOrigin({.asked = &asked_in_call_, .runtime = outside.runtime});
  static_cast<void>(Begin());
  DropClosure();
  ExchangeCallOrigin(outside);
  FinishOutcome(nullptr);
  SetEnded();
  future().Publish();
  Leave();
}

// ---- The end.

// On the thread itself, whose frames are gone.
void TaskRun::OnEnd(Ending ending) noexcept {
  CheckNothingOpen(*this);
  DropClosure();
  const bool cancelled = ending == Ending::kCancelled;
  if (!cancelled) FinishOutcome(&runtime());
  CheckNothingOpen(*this);
  if (known()) identity()->DestroyLocals();
  RuntimeCore& core = runtime();
  SetEnded();
  state.End();
  UnlistRoot(core, *this);
  if (cancelled) {
    future().PublishCancelled(cause());
  } else {
    future().Publish();
  }
  EndIdentity();
  LeaveCurrentThread();
  Leave();
  EndUnscoped(core);
}

void TaskRun::SetEnded() noexcept {
  {
    std::lock_guard guard(lock_);
    phase_ = Phase::kEnded;
  }
  if (group != nullptr) group->Ending(*this);
}

// A failure must not be lost, and a value that nobody can read is destroyed where it belongs.
void TaskRun::FinishOutcome(const RuntimeCore* runtime) noexcept {
  MoveOutcome();
  if (failed()) {
    if (group != nullptr) handler_ = group->uncaught_handler();
    if (handler_ == nullptr && runtime != nullptr) handler_ = UncaughtHandlerOf(*runtime);
  }
  if (future().handles() == 0) future().DropOutcome();  // else whoever drops the last one does
}

// The last touch of the run: its future may be gone afterwards, and it with it. If the last handle has gone meanwhile,
// the outcome is destroyed here, on behalf of no thread: this one has ended. Before the group can be gone, and with it
// what the outcome refers to.
void TaskRun::Leave() noexcept {
  TaskGroup* const left = group;
  if (left != nullptr) left->Forget(*this);
  {
    const WithoutCurrentThread on_behalf_of_nobody;
    future().LetGo();
  }
  if (left != nullptr) left->Left();
}

// The runtime that a pool keeps for a task in its queue. (ThreadPoolExecutor::Start)
RuntimeCore* TaskRun::HeldWhileQueued() const noexcept {
  return group != nullptr && needs_thread() ? group->runtime_of_tasks() : nullptr;
}

// Until it has ended, AskToEnd() looks at the frame.
void TaskRun::DropUnstarted() noexcept {
  PromiseBase* frame;
  {
    std::lock_guard guard(lock_);
    frame = std::exchange(leaf, nullptr);
  }
  if (frame != nullptr) frame->Handle().destroy();
  DropClosure();
  SetEnded();
}

void TaskRun::EndUnstarted(const CancelCause& why) noexcept {
  RuntimeCore* const held = HeldWhileQueued();
  DropUnstarted();
  future().PublishCancelled(why);
  Leave();
  if (held != nullptr) EndUnscoped(*held);
}

void TaskRun::EndUnstarted(absl::Status why, std::shared_ptr<const UncaughtFailureHandler> handler) noexcept {
  RuntimeCore* const held = HeldWhileQueued();
  handler_ = std::move(handler);
  DropUnstarted();
  WriteStatus(std::move(why));
  future().Publish();
  Leave();
  if (held != nullptr) EndUnscoped(*held);
}

absl::Status Refusal(absl::StatusCode code, const char* why) noexcept {
  return WithWords(code, [code, why] { return absl::Status(code, why); });
}

bool LetOthersRun() noexcept {
  if (CurrentStandIn() == nullptr) return false;
  YieldInCall();
  return true;
}

void TellUnreadFailure(const UncaughtFailureHandler* handler, const absl::Status& status,
                       const std::exception_ptr& exception) noexcept {
  // What passes a cancellation on has not failed: whoever asked for it knows.
  if (exception == nullptr && absl::IsCancelled(status) && ReasonOf(status).kind != CancelReason::Kind::kNone) return;
  constexpr const char* kWhat = "a task has failed, and nobody has looked at its future";
  if (handler != nullptr) return (*handler)(kWhat, status, exception);
  if (TellUncaughtHandler(kWhat, status, exception)) return;
  std::fprintf(stderr, "weft: %s: %s\n", kWhat, status.ToString().c_str());
}

// ---- Whoever else has to do with it.

void TaskRun::AskToEnd(const CancelCause& why) noexcept {
  std::unique_lock guard(lock_);
  switch (phase_) {
    case Phase::kEnded:
      return;
    case Phase::kOnThread: {
      // It has not ended, so its runtime is there; it is kept until the request has been carried to the last thread.
      RuntimeCore& core = runtime();
      BeginUnscoped(core);
      RequestEnd(*this, Asker::kAlone, why);
      const uint64_t asked = id;
      guard.unlock();
      RunShutdowns(core, asked);
      EndUnscoped(core);
      return;
    }
    case Phase::kWaiting:
      // One that owes a clean-up begins nevertheless (finally.h). One whose end may block ends where it would begin.
      if (group == nullptr || end_may_block_ || OwesCleanUp() || !group->Withdraw(*this)) {
        if (!asked_early_.has_value()) asked_early_ = why;
        asked_in_call_.store(true, std::memory_order_relaxed);
        return;
      }
      guard.unlock();
      return EndUnstarted(why);
  }
}

RuntimeCore* TaskRun::HoldItsRuntime() noexcept {
  std::lock_guard guard(lock_);
  if (phase_ != Phase::kOnThread) return nullptr;
  BeginUnscoped(runtime());
  return &runtime();
}

HeldRuntime::HeldRuntime(FutureBase* from) noexcept {
  if (CurrentCarrier() == nullptr && from != nullptr && (core_ = from->HoldRuntime()) != nullptr) return;
  core_ = &RuntimeOfCaller();
  BeginUnscoped(*core_);
}

HeldRuntime::~HeldRuntime() { EndUnscoped(*core_); }

}  // namespace weft::internal
