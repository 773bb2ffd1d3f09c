#include "weft/thread_builder.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/cancel/boundary.h"
#include "lib/cancel/explain.h"
#include "lib/cancel/open_record.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/thread_end.h"
#include "lib/thread/thread_state.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft {

// ---- Builder and ThreadFactory.

VirtualThread::Builder& VirtualThread::Builder::Name(TextView name) {
  settings_.name = name;
  next_ = -1;
  return *this;
}

VirtualThread::Builder& VirtualThread::Builder::Name(TextView prefix, int64_t first) {
  WEFT_CHECK(first >= 0) << "the threads of a Builder are numbered from " << first << "; it must be 0 or more";
  settings_.name = prefix;
  next_ = first;
  return *this;
}

VirtualThread::Builder& VirtualThread::Builder::OnUncaughtFailure(UncaughtFailureHandler handler) {
  settings_.on_uncaught_failure =
      handler == nullptr ? nullptr : std::make_shared<const UncaughtFailureHandler>(std::move(handler));
  return *this;
}

VirtualThread::Builder& VirtualThread::Builder::AllowThreadLocals(bool allowed) {
  settings_.allow_thread_locals = allowed;
  return *this;
}

VirtualThread::Builder& VirtualThread::Builder::InheritThreadLocals(bool inherited) {
  settings_.inherit_thread_locals = inherited;
  return *this;
}

ThreadFactory VirtualThread::Builder::Factory() const { return ThreadFactory(*this); }

internal::ThreadSettings VirtualThread::Builder::Next() {
  internal::ThreadSettings settings = settings_;
  if (next_ >= 0) absl::StrAppend(&settings.name, next_++);
  return settings;
}

internal::ThreadSettings ThreadFactory::Next() const {
  internal::ThreadSettings settings = pattern_->like.settings_;
  if (pattern_->like.next_ >= 0) {
    absl::StrAppend(&settings.name, pattern_->next.fetch_add(1, std::memory_order_relaxed));
  }
  return settings;
}

// ---- Starts.

void VirtualThread::Start() const { internal::UnscopedThread::StartLater(*identity_); }

namespace internal {

UnscopedThread::UnscopedThread(ThreadSettings&& settings)
    : RootBlock(/*references=*/1, ThreadState::kNotYetRegistered),
      ThreadIdentity(std::move(settings.name)),
      handler_(std::move(settings.on_uncaught_failure)),
      forks_(ForksSoFar()) {
  RuntimeCore& core = settings.runtime != nullptr ? *settings.runtime : RuntimeOfCaller();
  CheckRunsHere(core);
  locals_allowed = settings.allow_thread_locals;
  const ThreadBlock* const maker = CurrentThread();
  if (maker != nullptr && maker->identity() != nullptr && settings.inherit_thread_locals && locals_allowed) {
    InheritLocals(*maker->identity());
    if (locals != nullptr) state.HandsDown();
  }
  PrepareThread(*this, core, this);
}

VirtualThread UnscopedThread::StartNow() noexcept {
  stage.store(2 * ThreadEnd::kOneReference, std::memory_order_relaxed);  // relaxed: nobody else knows it yet
  VirtualThread handle(*this, VirtualThread::kAdopted);
  StartUnlisted(*this, runtime());
  return handle;
}

VirtualThread UnscopedThread::Unstarted() noexcept {
  // relaxed: nobody else knows it yet.
  stage.store(ThreadEnd::kOneReference | ThreadEnd::kUnstarted, std::memory_order_relaxed);
  state.Registered();
  ListUnstarted(*this);
  return VirtualThread(*this, VirtualThread::kAdopted);
}

// It is in the list of its runtime, which asks it to end there if it ends.
void UnscopedThread::StartLater(ThreadIdentity& made) {
  const auto thread = [&made]() -> UnscopedThread& { return static_cast<UnscopedThread&>(made); };
  if (made.Begin([&] { BeginUnscoped(thread().runtime()); })) {
    CheckRunsHere(thread().runtime());
    made.AddRef();
    return StartThread(thread());
  }
  WEFT_CHECK(made.unstarted()) << "Start() of " << VirtualThread(made) << ", which was started before";
}

// ---- Ends.

// Called on the thread, when its frames are gone.
void UnscopedThread::OnEnd(Ending ending) noexcept {
  DropClosure();
  ending_ = ending;
  RuntimeCore& core = runtime();
  if (ending == Ending::kFailed) [[unlikely]] {
    if (handler_ == nullptr) handler_ = UncaughtHandlerOf(core);  // which may be called when the runtime has ended
  } else {
    DropResult();
  }
  DestroyLocals();
  CheckNothingOpen(*this);
  if (!state.Observe().unregistered()) UnlistRoot(core, *this);
  state.End();
  // Whoever has a handle may destroy this from here on. If nobody has one, the failure is told by this thread.
  // relaxed: nobody else can make the first handle.
  const bool has_handles = stage.load(std::memory_order_relaxed) >= 2 * ThreadEnd::kOneReference;
  if (has_handles || ending != Ending::kFailed) LeaveCurrentThread();
  if (!EndAlone()) {
    ThreadEnded();
    ThreadIdentity::Release();
  }
  EndUnscoped(core);
}

absl::Status UnscopedThread::Outcome() {
  switch (ending_) {
    case Ending::kSucceeded: return absl::OkStatus();
    case Ending::kCancelled: return CancelledStatus(Explain(CauseOfEnd(*this)));
    case Ending::kFailed:
      break;
  }
  told_.store(true, std::memory_order_relaxed);
  return MakeFailure().status;
}

void UnscopedThread::TellHandler() noexcept {
  told_.store(true, std::memory_order_relaxed);
  const Failure failure = MakeFailure();
  const std::string what = absl::StrCat(ThreadLabel(*this), " has failed, and nobody has joined it");
  if (handler_ != nullptr) return (*handler_)(what, failure.status, failure.exception);
  const std::string line = absl::StrCat("weft: ", what, ": ", failure.status.ToString(), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// The last handle is gone, or the run of a thread without handles.
void UnscopedThread::Unreferenced() noexcept {
  if (ending_ == Ending::kFailed && !told_.load(std::memory_order_relaxed)) {
    // The handler may make a handle, if it is called on the thread itself. relaxed: nobody else has a reference.
    stage.store(ThreadEnd::kOneReference | ThreadEnd::kEnded, std::memory_order_relaxed);
    TellHandler();
    if (CurrentThread() == this) LeaveCurrentThread();  // a handle that it has made may go before this returns
    return ThreadIdentity::Release();
  }
  if (unstarted()) {
    // In a child of fork(2) it stays in the parent's list, whose lock another thread may have held.
    if (forks_ != ForksSoFar()) return;
    DropUnstarted();
  }
  delete this;
}

// It will never run. Takes the lock of the identity, which the end of the runtime may still hold.
void UnscopedThread::DropUnstarted() noexcept {
  std::optional<RuntimeHold> hold;
  With([&](const ThreadBlock* listed) {
    if (listed != nullptr) hold.emplace(runtime());
  });
  if (hold.has_value()) UnlistRoot(runtime(), *this);
  hold.reset();
  if (leaf != nullptr) leaf->Handle().destroy();
}

}  // namespace internal
}  // namespace weft
