// Barrier: a fixed number of virtual threads meet, again and again. (Java's CyclicBarrier, std::barrier.)
//
//   weft::Barrier barrier(4, [&] { Swap(grid, next); });      // the action is optional
//   for (int step = 0; step < kSteps; ++step) {
//     Compute(step, part);
//     absl::StatusOr<int64_t> met = co_await barrier.ArriveAndWait();
//     if (!met.ok()) co_return met.status();                  // the barrier is broken: some party does not come
//   }
//
// Members: ArriveAndWait(), Reset(), IsBroken(), parties(), waiting(). Use a Latch (latch.h) for threads that meet once
// or that only count, and a Phaser (phaser.h) if the number of threads changes.
//
// A round. Each ArriveAndWait() waits until as many threads as there are parties have come. The last one calls the
// action, while the others wait, and all of them go on. More threads than parties may use a barrier: those that come
// during an action wait for the next round.
//
// Broken. If a party is cancelled as it arrives, or while it waits, the others would wait for ever. So that breaks the
// barrier, and so does an action that throws, or that returns a status that is not OK. Everybody who waits, and
// everybody who comes later, gets kAborted, with what has broken it, until Reset(). The thread that has called the
// action gets the action's own failure: what it threw is thrown by its co_await.
//
// Lifetime: the barrier must outlive its waits and the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what came before the ArriveAndWait() of any party happens before the action; that happens before
// what follows the ArriveAndWait() of every party of the same round.
// Cancellation: ArriveAndWait() is a checkpoint. A party whose round is complete is not cancelled.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock; the last party is O(parties). Nothing is allocated, except for the words of a failure.
//
// Rejected: an action that waits. The other parties would wait for it without a way to be cancelled. The party whose
// ArriveAndWait() yields 0 can do it instead, and arrive at the barrier once more.
#ifndef WEFT_SYNC_BARRIER_H_
#define WEFT_SYNC_BARRIER_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/into_task.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft {

class Barrier {
 public:
  // `parties` > 0.
  explicit Barrier(int64_t parties);
  // `action` is called once a round, by one party. It takes nothing, returns nothing or an absl::Status, and does not
  // wait.
  template <class F>
    requires std::invocable<F&>  // pass a function that takes no arguments
  Barrier(int64_t parties, F action);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  ~Barrier();  // a CHECK if a thread waits

  // Arrives, and waits for the other parties. co_await it; yields an absl::StatusOr<int64_t>: how many parties of the
  // round were still to come, 0 for the last one, which has called the action; or kAborted if the barrier is broken;
  // or, for the thread that has called the action, the status that it returned.
  auto ArriveAndWait() noexcept { return Awaiter(*this); }
  // Breaks the round of those who wait, and begins again with nobody. A round whose action is running is not affected.
  // Any thread may call it. Does not wait.
  void Reset() noexcept;

  bool IsBroken() noexcept;
  int64_t parties() const noexcept { return parties_; }
  // How many wait for others. The number may have changed by the time it is read.
  int64_t waiting() noexcept;

 private:
  enum class Outcome : uint8_t { kPending, kMet, kCallsTheAction, kBroken };
  enum class Cause : uint8_t { kNone, kCancelled, kAction, kReset };
  struct Breach {
    Cause cause = Cause::kNone;
    uint64_t thread = 0;  // whose cancellation, action or Reset() it was; 0: an OS thread's
  };

  // One that has arrived; in its frame.
  struct Party {
    explicit Party(Barrier& of) noexcept : barrier(of) {}

    Barrier& barrier;
    Outcome outcome = Outcome::kPending;
    int64_t still_to_come = 0;
    Breach breach;              // of kBroken
    internal::WaitNodes others;  // of kCallsTheAction: they wait for its end
  };

  class [[nodiscard("co_await the wait")]] Awaiter : public internal::GivesWhenAwaited<absl::StatusOr<int64_t>> {
   public:
    using WeftAwaitable = void;
    using IsAwaitedOnce = void;
    explicit Awaiter(Barrier& barrier) noexcept : party_(barrier) {}
    Awaiter(Awaiter&& other) noexcept : party_(other.party_.barrier) {}  // before it is awaited
    bool await_ready() noexcept { return internal::AtCheckpoint() && party_.barrier.ArriveIfOver(party_); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return party_.barrier.Suspend(party_, {frame.promise(), where});
    }
    absl::StatusOr<int64_t> await_resume() { return party_.barrier.End(party_); }

   private:
    Party party_;
  };
  class ActionCall;

  template <class F>
  static std::function<absl::Status()> ActionOf(F action);
  static void CheckParties(int64_t parties);
  static Party& PartyOf(internal::WaitNode& node) noexcept;

  bool ArriveIfOver(Party& party) noexcept;
  bool Suspend(Party& party, internal::AwaitingFrame frame) noexcept;
  bool ArriveLocked(Party& party, internal::WaitNodes& woken) noexcept;
  void CompleteLocked(Party& last, internal::WaitNodes& woken) noexcept;
  void BreakLocked(Breach breach, internal::WaitNodes& woken) noexcept;
  absl::StatusOr<int64_t> End(Party& party);
  void EndAction(Party& caller, bool ok) noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  static const internal::WaitKind kWait;

  internal::Waiters waiters_;
  const int64_t parties_;
  const std::function<absl::Status()> action_;
  // ---- Guarded by waiters_.lock.
  int64_t waiting_ = 0;         // in waiters_
  bool action_runs_ = false;    // or is about to: of a round that is complete
  Breach breach_;               // kNone: it is not broken
};

// ---------------------------------------------------------------------------------------------------------------------

template <class F>
  requires std::invocable<F&>
Barrier::Barrier(int64_t parties, F action) : parties_(parties), action_(ActionOf(std::move(action))) {
  CheckParties(parties);
}

template <class F>
std::function<absl::Status()> Barrier::ActionOf(F action) {
  using Result = std::invoke_result_t<F&>;
  static_assert(!internal::WeftAwaitable<Result>, "the action of a Barrier does not wait, so it returns no Task");
  static_assert(std::is_void_v<Result> || std::is_same_v<Result, absl::Status>,
                "the action of a Barrier returns nothing, or an absl::Status");
  if constexpr (std::is_void_v<Result>) {
    return [action = std::move(action)]() mutable {
      action();
      return absl::OkStatus();
    };
  } else {
    return action;
  }
}

}  // namespace weft

#endif  // WEFT_SYNC_BARRIER_H_
