// A virtual thread that was forked into a scope, with its result.
#ifndef WEFT_INTERNAL_CHILD_H_
#define WEFT_INTERNAL_CHILD_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/atomic.h"
#include "weft/internal/into_task.h"
#include "weft/internal/kept_closure.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/thread_block.h"
#include "weft/outcome.h"
#include "weft/task.h"

namespace weft::internal {

class CancellableScope;
class PolicyScope;
class ScopeBase;

enum class Completion : uint8_t { kUnavailable, kSuccess, kFailed };

class ChildBase : public ThreadBlock {
 public:
  // [child/1] acquire: pairs with [child/2].
  Completion completion() const noexcept { return completion_.load(std::memory_order_acquire); }
  absl::Status status() const;
  Failure MakeFailure() const { return {id, FailureStatus(), exception()}; }
  virtual std::exception_ptr exception() const noexcept = 0;

  // The owner, which may read the result from now on, also before a join.
  void ShowToOwner() noexcept {
    if (!shown_to_owner_) shown_to_owner_ = true;
  }
  // Was the value moved out?
  bool taken() const noexcept { return taken_.load(std::memory_order_relaxed); }
  // Before that.
  void Take() noexcept { taken_.store(true, std::memory_order_relaxed); }
  // CHECKs that this thread may read the result now, and that it is of that kind.
  void CheckResultMayBeRead(const char* what, Completion wanted) const;

 private:
  bool IsTooEarlyFor(const ThreadBlock* self) const noexcept;
  [[noreturn, gnu::cold, gnu::noinline]] void DieOfResult(const char* what, Completion wanted) const;

 protected:
  friend class CancellableScope;
  friend class ConcurrencyLimit;
  friend class PolicyScope;
  friend class ScopeBase;

  explicit ChildBase(bool holds) noexcept : ThreadBlock(/*references=*/2, ThreadState::kNotYetRegistered) {
    holds_ = holds;
  }

  virtual absl::Status FailureStatus() const = 0;
  virtual void DropResult() noexcept = 0;
  virtual void DropClosure() noexcept {}

  // [child/2] release: pairs with [child/1].
  void Publish(Completion completion) noexcept { completion_.store(completion, std::memory_order_release); }

  // Instead of a run, called by the thread that forks: the child is cancelled.
  void DropUnstarted() noexcept;

  // ---- The end of the run, when the closure is gone. (child.cc)
  void OnEnd(Ending ending) noexcept override;
  [[gnu::noinline]] void EndKnown(Ending ending) noexcept;  // it has failed, or has an identity
  // [block/3] acquire: pairs with [block/2].
  bool HasHandle() const noexcept { return refs.load(std::memory_order_acquire) > 1; }
  // Destroys a result that nobody can read.
  void DropUnread() noexcept;
  // The last touch. `holds`: a result is there that has a destructor.
  void Leave(bool holds) noexcept;
  void LeaveEmpty() noexcept;
  [[gnu::noinline]] void LeaveWith(bool result) noexcept;  // ... or with an identity
  [[gnu::noinline]] void LeaveUnknown() noexcept;
  [[gnu::cold, gnu::noinline]] void LeaveAsTheLast() noexcept;

  // These go on behind what is a ThreadBlock's.
  Atomic<Completion> completion_{Completion::kUnavailable};
  bool shown_to_owner_ = false;
  Atomic<bool> taken_{false};  // relaxed: asking while another thread takes the value is a race for the value itself
  // Of fork and join, in its scope: the id of the first child of the round, modulo 2^32. The address of the scope may
  // be used again, by one with rounds of its own; of ids that are 2^32 apart nobody has the first in hand still.
  uint32_t round_ = 0;
};
static_assert(sizeof(ChildBase) == 128, "thread_block.h says what of it is needed");

// What a Subtask<U> sees: the value, whichever way the task returned it.
template <class U>
class ChildOf : public ChildBase {
 public:
  using ChildBase::ChildBase;
  virtual std::add_pointer_t<U> value() noexcept = 0;
};

// The child that runs a Task<T>.
template <class T>
class TaskChild : public ChildOf<FlatValue<T>> {
 public:
  using Value = FlatValue<T>;

  explicit TaskChild(Task<T>&& task) noexcept : TaskChild() {
    this->leaf = &TaskAccess::ReleaseAsRoot(std::move(task), slot_, this, "Fork()");
  }

  std::add_pointer_t<Value> value() noexcept final {
    if constexpr (std::is_void_v<Value>) {
      return nullptr;
    } else if constexpr (IsStatusLike<T>) {
      return &*slot_.value();
    } else if constexpr (std::is_reference_v<T>) {
      return slot_.value();
    } else {
      return &slot_.value();
    }
  }

  std::exception_ptr exception() const noexcept final { return slot_.has_exception() ? slot_.exception() : nullptr; }

 protected:
  TaskChild() noexcept : ChildOf<Value>(!std::is_trivially_destructible_v<typename ResultSlot<T>::Stored>) {}

  absl::Status FailureStatus() const final {
    if (slot_.has_exception()) return ExceptionToStatus(slot_.exception());
    if constexpr (std::is_same_v<T, absl::Status>) {
      return slot_.value();
    } else if constexpr (IsStatusLike<T>) {
      return slot_.value().status();
    } else {
      return absl::OkStatus();
    }
  }
  void DropResult() noexcept final { slot_.Reset(); }

  ResultSlot<T> slot_;
};

// The child that calls a closure and runs the Task it returns.
template <class F, class T>
class ClosureChild final : public TaskChild<T> {
 public:
  template <class G>
  explicit ClosureChild(G&& closure) noexcept(std::is_nothrow_constructible_v<F, G&&>)
      : closure_(std::in_place, std::forward<G>(closure)) {}

 private:
  PromiseBase* Begin() noexcept override {
    return closure_.Run(this->slot_, [this](F& closure) {
      return &TaskAccess::ReleaseAsRoot(AsTask(closure()), this->slot_, this, "Fork()");
    });
  }
  void OnEnd(ThreadBlock::Ending ending) noexcept override {
    if constexpr (requires { closure_.get().AfterEnd(); }) {
      const auto after_end = closure_.get().AfterEnd();
      EndRun(ending);
    } else {
      EndRun(ending);
    }
  }
  void EndRun(ThreadBlock::Ending ending) noexcept {
    closure_.Drop();
    ChildBase::OnEnd(ending);
  }
  void DropClosure() noexcept override { closure_.Drop(); }

  KeptClosure<F> closure_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_CHILD_H_
