// A virtual thread that completes a future: what Submit() starts, and what Then() and its like are.
//
// It is a root of its runtime, which asks it to end when the runtime ends. The future's state lies in its control
// block: one allocation for both. What it runs is a Task, a closure that returns one, or a closure that returns
// anything else; the last is called without a frame.
//
// The order of its end (TaskRun::OnEnd): its frames are gone; its closure is destroyed; the outcome is moved into the
// future; an outcome that nobody can read is destroyed, and told if it is a failure; all of this on the thread itself.
// Then the future is done, and then the thread's handles say that it has ended. Then the thread leaves its group, so
// that whoever sees that the group is empty finds all of its futures done.
#ifndef WEFT_EXECUTOR_TASK_RUN_H_
#define WEFT_EXECUTOR_TASK_RUN_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/executor/future_state.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/into_task.h"
#include "weft/internal/job.h"
#include "weft/internal/kept_closure.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_identity.h"
#include "weft/runtime.h"
#include "weft/task.h"

namespace weft::internal {

class RuntimeCore;
class TaskRun;

struct TaskRunTag;

// Who keeps a TaskRun: an executor.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // The task has ended; its future is not done yet. No lock is held.
  virtual void Ending(TaskRun&) noexcept {}
  // The run has ended, and its future is done. From here on the group does not know it.
  virtual void Forget(TaskRun& run) noexcept = 0;
  // A run that it has forgotten is gone; so is its outcome, unless somebody else has that. The last touch of the group.
  virtual void Left() noexcept = 0;
  // It stays until one more Left().
  virtual void Stay() noexcept = 0;
  // For failures that nobody looks at. Null: the handler of the runtime that the task runs on.
  virtual std::shared_ptr<const UncaughtFailureHandler> uncaught_handler() const noexcept { return nullptr; }
  // Where a task that a pool's OS thread has begun runs, if it needs a virtual thread. Null: the default runtime.
  virtual RuntimeCore* runtime_of_tasks() const noexcept { return nullptr; }
  // Called under the run's lock, before it has begun on a virtual thread: takes it out of where it waits for its turn.
  // False: it has begun, or is about to.
  virtual bool Withdraw(TaskRun& run) noexcept = 0;

 protected:
  ~TaskGroup() = default;
};

class TaskRun : public RootBlock, public ListNode<TaskRunTag>, public Job {
 public:
  virtual FutureBase& future() noexcept = 0;
  // Does it need a virtual thread, or is it a closure that any OS thread can call?
  virtual bool needs_thread() const noexcept = 0;

  // ---- Whoever starts it, once one of these.
  // On a virtual thread of `core`; the caller keeps that. `identity`: the thread's, or null.
  void StartOn(RuntimeCore& core, ThreadIdentity* identity = nullptr) noexcept;
  // As a Job, on an OS thread of a pool: calls its closure there; or starts it, and waits until it has ended.
  // It never runs: it is cancelled, or fails with that status. Destroys what it would have run. `handler`: its group's.
  void EndUnstarted(const CancelCause& cause) noexcept;
  void EndUnstarted(absl::Status why, std::shared_ptr<const UncaughtFailureHandler> handler) noexcept;

  const TaskGroup* keeper() const noexcept override { return group; }

  // Any thread.
  void AskToEnd(const CancelCause& cause) noexcept;
  RuntimeCore* HoldItsRuntime() noexcept;

  // ---- Its group's.
  TaskGroup* group = nullptr;  // before it starts
  bool has_place = false;      // among those that may run at once

 protected:
  // `end_may_block`: the destructor of what it is to run may. Then whoever asks it to end does not call that.
  explicit TaskRun(bool end_may_block) noexcept
      : RootBlock(/*references=*/1), Job(&RunJob, &RefuseJob), end_may_block_(end_may_block) {}
  ~TaskRun() override = default;

  virtual void DropClosure() noexcept = 0;
  virtual void MoveOutcome() noexcept = 0;  // from the task's slot into the future
  virtual void WriteStatus(absl::Status why) noexcept = 0;
  virtual bool failed() const noexcept = 0;

  // Of a run that has failed; null: that of whoever drops the last handle. Runtime and group may be gone by then.
  std::shared_ptr<const UncaughtFailureHandler> handler_;

 private:
  void OnEnd(Ending ending) noexcept override;
  static void RunJob(Job& job) noexcept;
  static void RefuseJob(Job& job, int error) noexcept;
  RuntimeCore* HeldWhileQueued() const noexcept;
  void DropUnstarted() noexcept;
  void CallHere() noexcept;
  void FinishOutcome(const RuntimeCore* runtime) noexcept;
  void SetEnded() noexcept;
  void Leave() noexcept;

  const bool end_may_block_;

  // Taken before the records lock, and before the locks of the group.
  Lock lock_;
  // ---- Guarded by lock_.
  enum class Phase : uint8_t { kWaiting, kOnThread, kEnded };  // the second: prepared for a virtual thread
  Phase phase_ = Phase::kWaiting;
  std::optional<CancelCause> asked_early_;  // before it was prepared

  Atomic<bool> asked_in_call_{false};  // the same, for the closure that is being called. relaxed: a hint
};

// Why a task is refused: without the words, if there is no memory for them.
absl::Status Refusal(absl::StatusCode code, const char* why) noexcept;

// In a closure on a simulated OS thread: lets others run. False: the OS thread is real, and may wait.
bool LetOthersRun() noexcept;

// "A task has failed, and nobody has looked at its future": to `handler`, or, if that is null, to the caller's runtime.
void TellUnreadFailure(const UncaughtFailureHandler* handler, const absl::Status& status,
                       const std::exception_ptr& exception) noexcept;

// ---- What is run.

struct NoClosure {};

// T: what the task yields, a status included.
template <class F, class T>
class TaskRunOf final : public TaskRun, public FutureState<FlatValue<T>> {
  using State = FutureState<FlatValue<T>>;
  static constexpr bool kOfTask = std::is_same_v<F, NoClosure>;
  static constexpr bool kEndMayBlock = requires { typename F::EndMayBlock; };

 public:
  using Result = T;

  // The run keeps the future, and has made a handle for whoever has made the run.
  template <class G>
    requires(!kOfTask)
  explicit TaskRunOf(G&& closure) noexcept(std::is_nothrow_constructible_v<F, G&&>)
      : TaskRun(kEndMayBlock),
        State(State::kHandle + State::kKeeper),
        closure_(std::in_place, std::forward<G>(closure)) {}
  explicit TaskRunOf(Task<T>&& task) noexcept
    requires kOfTask
      : TaskRun(kEndMayBlock), State(State::kHandle + State::kKeeper), closure_(std::in_place, NoClosure()) {
    leaf = &TaskAccess::ReleaseAsRoot(std::move(task), slot_, this, "Submit()");
  }

  FutureBase& future() noexcept override { return *this; }
  bool needs_thread() const noexcept override {
    if constexpr (kOfTask) {
      return true;
    } else {
      return GivesTask<F&>;
    }
  }

  void RequestCancel(const CancelCause& cause) noexcept override { AskToEnd(cause); }
  RuntimeCore* HoldRuntime() noexcept override { return HoldItsRuntime(); }

  ~TaskRunOf() override { TellFailure(); }

  static void operator delete(void* run, size_t size) noexcept { State::operator delete(run, size); }
  static void operator delete(void* run, size_t size, std::align_val_t alignment) noexcept {
    State::operator delete(run, size, alignment);
  }

 private:
  // On the thread, or on an OS thread that calls the closure itself. Null: there is no frame, or it has thrown.
  PromiseBase* Begin() noexcept override {
    return closure_.Run(slot_, [this](F& closure) { return BeginTask(closure); });
  }
  PromiseBase* BeginTask(F& closure) {
    if constexpr (kOfTask) {
      return nullptr;  // it has a frame
    } else if constexpr (GivesTask<F&>) {
      return &TaskAccess::ReleaseAsRoot(AsTask(closure()), slot_, this, "Submit()");
    } else {
      if constexpr (std::is_void_v<T>) {
        closure();
        slot_.SetValue();
      } else {
        slot_.SetValue(closure());
      }
      return nullptr;
    }
  }
  void DropClosure() noexcept override { closure_.Drop(); }
  void MoveOutcome() noexcept override {
    if (slot_.has_exception()) {
      this->WriteException(slot_.exception());
    } else if constexpr (std::is_void_v<T>) {
      this->WriteOutcome(absl::OkStatus());
    } else {
      this->WriteOutcome(std::move(slot_.value()));
    }
    slot_.Reset();
  }
  void WriteStatus(absl::Status why) noexcept override { this->WriteOutcome(std::move(why)); }
  void DropOutcome() noexcept override {
    TellFailure();
    State::DropOutcome();
  }
  bool failed() const noexcept override { return !this->ok(); }
  // If nobody has looked at it.
  void TellFailure() noexcept {
    if (this->HasUntoldFailure()) TellUnreadFailure(handler_.get(), this->status(), this->exception());
  }

  ResultSlot<T> slot_;
  KeptClosure<F> closure_;
};

// The TaskRunOf for what is given to Submit(): a Task, or a closure.
template <class Work>
struct RunOfWork {
  using Closure = std::decay_t<Work>;
  using Result = YieldOf<Closure>;
};
template <IntoTask Work>
struct RunOfWork<Work> {
  using Closure = NoClosure;
  using Result = ValueOf<Work>;
};
template <class Work>
using TaskRunFor = TaskRunOf<typename RunOfWork<Work>::Closure, typename RunOfWork<Work>::Result>;

// Null: there was no memory.
template <class Work>
TaskRunFor<Work>* NewTaskRun(Work&& work) {
  using Run = TaskRunFor<Work>;
  struct Memory {
    ~Memory() {
      if (block != nullptr) FreeFrame(block, sizeof(Run), alignof(Run));
    }
    void* block;
  };
  Memory memory(AllocateFrameNoThrow(sizeof(Run), alignof(Run)));
  if (memory.block == nullptr) [[unlikely]]
    return nullptr;
  Run* run;
  if constexpr (IntoTask<Work>) {
    run = ::new (memory.block) Run(AsTask(std::forward<Work>(work)));
  } else {
    run = ::new (memory.block) Run(std::forward<Work>(work));
  }
  memory.block = nullptr;
  return run;
}

// The runtime of the calling virtual thread; on an OS thread that of the work behind `from`, if it is not null and runs
// on one, else the default runtime. Held for as long as this lives.
class HeldRuntime {
 public:
  explicit HeldRuntime(FutureBase* from) noexcept;
  HeldRuntime(const HeldRuntime&) = delete;
  HeldRuntime& operator=(const HeldRuntime&) = delete;
  ~HeldRuntime();
  RuntimeCore& core() noexcept { return *core_; }

 private:
  RuntimeCore* core_;
};

}  // namespace weft::internal

#endif  // WEFT_EXECUTOR_TASK_RUN_H_
