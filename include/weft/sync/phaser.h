// Phaser: threads go through phases together, and may come and go in between. (Java's Phaser, without its trees.)
//
//   weft::Phaser phaser(3, [&](int64_t phase, int64_t parties) { return phase == kLast || parties == 0; });
//   while (!phaser.IsTerminated()) {
//     Compute(part);
//     co_await phaser.ArriveAndAwaitAdvance();      // until all parties have arrived
//   }
//
// Members: Register(), Arrive(), ArriveAndDeregister(), ArriveAndAwaitAdvance(), AwaitAdvance(), Terminate(),
// IsTerminated(), phase(), registered(), arrived(). If the number of threads is fixed, use a Barrier (barrier.h).
//
// Phases. A phaser counts parties that are registered, and those of them that have arrived; it does not know who they
// are. When all have arrived, the phase advances: whoever was the last calls on_advance(phase, registered), all who
// wait go on, and all parties are to arrive again. The first phase is 0. What is registered, or arrives, while
// on_advance runs belongs to the next phase.
//
// Terminated. If on_advance returns true, or after Terminate(), nobody waits any more, and arrivals and registrations
// change nothing. Without an on_advance, a phaser terminates when its last party deregisters. Functions that return a
// phase then return ~phase, a negative number; `phase` is the one after the last that ended.
//
// Lifetime: the phaser must outlive its waits and the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what came before an arrival happens before the call of on_advance for its phase; that happens before
// what follows every wait for the end of that phase.
// Cancellation: ArriveAndAwaitAdvance() and AwaitAdvance() are checkpoints. An ArriveAndAwaitAdvance() that is
// cancelled has not arrived; if its phase is advancing by then, it has, and the wait goes on. So a party that may be
// cancelled leaves by a destructor, and the others do not wait for it:
//
//   absl::Cleanup leave = [&] { phaser.ArriveAndDeregister(); };
//
// Signal handlers must not call it; event.h says what to do instead.
// Cost: a short lock; an advance is O(threads that wait). Nothing is allocated.
#ifndef WEFT_SYNC_PHASER_H_
#define WEFT_SYNC_PHASER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <functional>
#include <source_location>

#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_node.h"

namespace weft {

class Phaser {
 public:
  // Called with the phase that ends, and how many parties are registered. True: the phaser terminates. It may call the
  // phaser, but does not wait. If it throws, the phaser terminates, and the exception goes to whoever was the last to
  // arrive; if all had arrived for that phase before the one before it ended, to the last of the one before.
  using OnAdvance = std::function<bool(int64_t phase, int64_t registered)>;

  // `parties` >= 0, which are registered.
  explicit Phaser(int64_t parties = 0, OnAdvance on_advance = nullptr);
  Phaser(const Phaser&) = delete;
  Phaser& operator=(const Phaser&) = delete;
  ~Phaser();  // a CHECK if a thread waits

  // ---- Any thread may call these. They do not wait. Without a party that is still to arrive, an arrival is a CHECK.

  // Adds `parties` >= 0; more than INT64_MAX together are a CHECK. Returns the phase in which they are to arrive first.
  int64_t Register(int64_t parties = 1) noexcept;
  // One party arrives. Returns the phase in which it does.
  int64_t Arrive() { return Arrive(/*deregisters=*/false); }
  // The same, and the party is not waited for in later phases.
  int64_t ArriveAndDeregister() { return Arrive(/*deregisters=*/true); }
  // Ends all waits.
  void Terminate() noexcept;
  bool IsTerminated() noexcept { return phase() < 0; }

  // These may have changed by the time they are read.
  int64_t phase() noexcept;
  int64_t registered() noexcept;
  int64_t arrived() noexcept;  // of the parties that are registered, in this phase

  // ---- Waits.

  // One party arrives, and waits until the phase has advanced. co_await it; yields the next phase.
  auto ArriveAndAwaitAdvance() noexcept { return Awaiter(*this, /*phase=*/0, /*arrives=*/true); }
  // Waits while the phase is `phase`. co_await it; yields the phase that it is then. Any thread may wait, whether it is
  // a party or not.
  auto AwaitAdvance(int64_t phase) noexcept { return Awaiter(*this, phase, /*arrives=*/false); }

 private:
  // One that waits, in its frame.
  struct Waiting {
    Phaser& phaser;
    int64_t phase;          // whose end it waits for; of one that arrives: once it waits
    bool arrives;           // one party arrives by it
    bool advances = false;  // it was the last, and calls on_advance
    int64_t next = 0;       // what the wait yields
  };

  class [[nodiscard("co_await the wait")]] Awaiter : public internal::GivesWhenAwaited<int64_t> {
   public:
    using WeftAwaitable = void;
    using IsAwaitedOnce = void;
    Awaiter(Phaser& phaser, int64_t phase, bool arrives) noexcept : waiting_{phaser, phase, arrives} {}
    bool await_ready() noexcept { return internal::AtCheckpoint() && waiting_.phaser.EndIfOver(waiting_); }
    template <internal::WeftPromise Promise>
    bool await_suspend(std::coroutine_handle<Promise> frame,
                       std::source_location where = std::source_location::current()) noexcept {
      return waiting_.phaser.Suspend(waiting_, {frame.promise(), where});
    }
    int64_t await_resume() { return waiting_.advances ? waiting_.phaser.Advance() : waiting_.next; }

   private:
    Waiting waiting_;
  };
  class Call;

  static Waiting& WaitingOf(internal::WaitNode& node) noexcept;
  int64_t PhaseLocked() const noexcept { return terminated_ ? ~phase_ : phase_; }
  int64_t ArrivalPhaseLocked() const noexcept { return phase_ + (advancing_ ? 1 : 0); }

  int64_t Arrive(bool deregisters);
  bool ArriveLocked(bool deregisters) noexcept;
  void BeginAdvanceLocked() noexcept;
  int64_t Advance();
  bool EndPhase(bool terminate, int64_t& next) noexcept;
  bool EndIfOver(Waiting& waiting) noexcept;
  bool EndIfOverLocked(Waiting& waiting) noexcept;
  bool Suspend(Waiting& waiting, internal::AwaitingFrame frame) noexcept;
  void GrantLocked(internal::WaitNodes& woken) noexcept;
  static bool Withdraw(internal::ThreadBlock& thread) noexcept;
  static const internal::WaitKind kWait;

  internal::Waiters waiters_;
  const OnAdvance on_advance_;
  // ---- Guarded by waiters_.lock.
  int64_t phase_ = 0;
  int64_t registered_;
  int64_t unarrived_;           // of registered_; while on_advance runs, in the next phase
  int64_t ending_parties_ = 0;  // registered when the phase that ends was complete
  bool advancing_ = false;      // on_advance runs, or is about to
  bool due_again_ = false;      // meanwhile all have arrived in the next phase
  bool terminated_ = false;
};

}  // namespace weft

#endif  // WEFT_SYNC_PHASER_H_
