// What the handles of a future and whoever completes it share: whether it is done, who waits for it, and the outcome.
//
//   state     left by                       what the outcome is
//   pending   Claim(), which one caller     nobody reads it
//             wins
//   claimed   Publish(), by the claimer     the claimer writes it, with no lock held: that is user code
//   done      -                             everybody may read it, without a lock
//
// It goes with the last handle and the last keeper. A Promise counts as a handle, because it makes some. Keepers are
// the work behind the future, which does not look at the outcome once that is published, and whoever is in a call of
// it. So the last handle has the outcome for itself, whatever they still do, and destroys it once the future is done.
#ifndef WEFT_EXECUTOR_FUTURE_STATE_H_
#define WEFT_EXECUTOR_FUTURE_STATE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/executor/done_word.h"
#include "weft/executor/future_references.h"
#include "weft/internal/atomic.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/check.h"
#include "weft/internal/frame_cache.h"
#include "weft/internal/list.h"
#include "weft/internal/promise.h"
#include "weft/internal/status_traits.h"
#include "weft/internal/wait_kind.h"
#include "weft/internal/wait_node.h"
#include "weft/outcome.h"

namespace weft::internal {

class AnyDone;
class FutureBase;
class RuntimeCore;
struct DoneCaseTag;

// One of the futures that an AnyDone waits for (when.h): in a list of the future until that is done, then in one of the
// AnyDone's until it is taken.
struct DoneCase : ListNode<DoneCaseTag> {
  FutureBase* future;
  AnyDone* wait;
};
using DoneCases = List<DoneCase, DoneCaseTag>;

// The part that does not know of T.
class FutureBase {
 public:
  FutureBase(const FutureBase&) = delete;
  FutureBase& operator=(const FutureBase&) = delete;

  static constexpr uint64_t kHandle = FutureReferences::kHandle;
  static constexpr uint64_t kKeeper = FutureReferences::kKeeper;

  void AddHandle() noexcept { references_.AddHandle(); }
  void Keep() noexcept { references_.AddKeeper(); }
  void DropHandle() noexcept;
  void LetGo() noexcept;
  uint64_t handles() const noexcept { return references_.handles(); }

  bool done() const noexcept { return word_.done(); }

  // ---- Whoever completes it.
  [[nodiscard]] bool Claim() noexcept { return word_.Claim(); }
  // The claimer, who has written the outcome: wakes all who wait. Allocates nothing.
  void Publish() noexcept;
  // All of it, by whoever has no reference of its own: calls write() as the claimer. False: it is not the first.
  // Whoever sees that it is done, or is being completed, may drop the last reference meanwhile.
  template <class Write>
  bool CompleteBy(Write write) noexcept {
    Keep();
    const bool first = Claim();
    if (first) {
      write();
      Publish();
    }
    LetGo();
    return first;
  }
  // The claimer, in place of an outcome.
  void PublishCancelled(const CancelCause& cause) noexcept;
  void PublishBroken() noexcept;

  // ---- Whoever wants it.
  // For await_suspend: false if the coroutine goes on at once.
  bool Suspend(AwaitingFrame frame) noexcept;
  // Once it is done, `a_case` is given to its AnyDone; at once, if it is. Until it is taken back.
  void AddCase(DoneCase& a_case) noexcept;
  void TakeBack(DoneCase& a_case) noexcept;
  static const SelectableWait<ThreadBlock> kSelect;  // of a FutureBase
  // An OS thread; on a carrier it is a CHECK. False: the time was up.
  bool AwaitBlocking(const char* what, absl::Duration timeout = absl::InfiniteDuration()) noexcept;
  // Asks the work to end. What there is no work for is done by this, and cancelled. Idempotent.
  virtual void RequestCancel(const CancelCause& cause) noexcept;
  // The runtime that the work runs on, held for the caller (Roots::Hold); null: there is none, or the work has ended.
  virtual RuntimeCore* HoldRuntime() noexcept { return nullptr; }
  // Nobody can read it any more. Idempotent.
  virtual void DropOutcome() noexcept = 0;

 protected:
  enum class Ended : uint8_t { kWithOutcome, kCancelled, kBroken };

  explicit FutureBase(uint64_t references) noexcept : references_(references) {}
  virtual ~FutureBase();

  Ended ended() const noexcept { return ended_; }
  // Why there is no outcome.
  absl::Status StatusWithoutOutcome() const;

 private:
  static const WaitKind kWait;

  FutureReferences references_;
  DoneWord word_;  // finished under waiters_.lock
  Ended ended_ = Ended::kWithOutcome;  // the claimer's, then constant
  Waiters waiters_;
  DoneCases cases_;  // guarded by waiters_.lock; empty when it is done
  union {
    CancelCause cause_;  // kCancelled; not set before
  };
};

// CancelCause of a Cancel() by the caller.
CancelCause CauseOfCancel(std::source_location where) noexcept;

template <class T>
class FutureState : public FutureBase {
 public:
  using Outcome = StatusOrOf<T>;
  static constexpr bool kCopied = std::is_void_v<T> || CanBeCopied<T>::value;

  // ---- Whoever completes it. False, and nothing has changed: it was done, or is being completed.
  template <class... Args>
  bool Complete(Args&&... args) {
    return this->CompleteBy([&] { WriteOutcome(std::forward<Args>(args)...); });
  }
  bool Fail(std::exception_ptr exception) noexcept {
    return this->CompleteBy([&] { slot_.SetException(std::move(exception)); });
  }
  // The claimer. What the constructor of the value throws is the outcome then.
  template <class... Args>
  void WriteOutcome(Args&&... args) {
#if WEFT_EXCEPTIONS
    try {
      slot_.SetValue(std::forward<Args>(args)...);
    } catch (...) {
      slot_.SetException(std::current_exception());
    }
#else
    slot_.SetValue(std::forward<Args>(args)...);
#endif
  }
  void WriteException(std::exception_ptr exception) noexcept { slot_.SetException(std::move(exception)); }

  // ---- It is done.
  bool ok() const noexcept {
    return this->ended() == Ended::kWithOutcome && slot_.has_value() && slot_.value().ok();
  }
  // Null: it has not failed, or not by an exception.
  std::exception_ptr exception() const noexcept {
    SetTold();
    return this->ended() == Ended::kWithOutcome && slot_.has_exception() ? slot_.exception() : nullptr;
  }
  // OK, or why it has no value.
  absl::Status status() const {
    SetTold();
    if (this->ended() != Ended::kWithOutcome) return this->StatusWithoutOutcome();
    if (slot_.has_exception()) return ExceptionToStatus(slot_.exception());
    if constexpr (std::is_void_v<T>) {
      return slot_.value();
    } else {
      return slot_.value().status();
    }
  }
  // `give_up`: the caller's handle is about to go. Then a value that nobody else can read is moved, and not copied.
  Outcome TryTake(bool give_up) {
    if (!ok()) return status();
    if constexpr (std::is_void_v<T>) {
      return absl::OkStatus();
    } else {
      return TakeValue(give_up);
    }
  }
  // The same, or throws what it has failed with. Where exceptions are off that is a CHECK which prints the status.
  T Take(bool give_up) {
    if (!ok()) Failure{0, status(), exception()}.Throw();
    if constexpr (!std::is_void_v<T>) return TakeValue(give_up);
  }
  // It has failed, and nobody has looked at that. A cancellation is no failure.
  bool HasUntoldFailure() const noexcept {
    if (this->ended() != Ended::kWithOutcome || told_.load(std::memory_order_relaxed)) return false;
    return slot_.has_exception() || (slot_.has_value() && !slot_.value().ok());
  }
  void SetTold() const noexcept { told_.store(true, std::memory_order_relaxed); }
  void DropOutcome() noexcept override { slot_.Reset(); }

  static void* operator new(size_t size) { return AllocateOrDie(size, kFrameGranuleBytes, "a future"); }
  static void* operator new(size_t size, std::align_val_t alignment) {
    return AllocateOrDie(size, static_cast<size_t>(alignment), "a future");
  }
  static void operator delete(void* state, size_t size) noexcept { FreeFrame(state, size); }
  static void operator delete(void* state, size_t size, std::align_val_t alignment) noexcept {
    FreeFrame(state, size, static_cast<size_t>(alignment));
  }

  explicit FutureState(uint64_t references) noexcept : FutureBase(references) {}

 private:
  std::add_rvalue_reference_t<T> value() noexcept
    requires(!std::is_void_v<T>)
  {
    return *std::move(slot_.value());
  }
  template <class U = T>
  U TakeValue(bool give_up) {
    if constexpr (kCopied) {
      if (give_up && this->handles() == 1) return value();
      return static_cast<const U&>(*slot_.value());
    } else {
      WEFT_CHECK(!taken_.exchange(true, std::memory_order_relaxed))
          << "the value of a Future is taken twice; one that cannot be copied is moved out once";
      return value();
    }
  }

  ResultSlot<Outcome> slot_;
  mutable Atomic<bool> told_{false};  // somebody has looked at the failure. relaxed: read when the last handle has gone
  Atomic<bool> taken_{false};  // relaxed: whoever takes it has it alone. Only of a value that cannot be copied
};

}  // namespace weft::internal

#endif  // WEFT_EXECUTOR_FUTURE_STATE_H_
