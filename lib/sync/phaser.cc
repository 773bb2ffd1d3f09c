#include "weft/sync/phaser.h"

#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

const internal::WaitKind Phaser::kWait = {
    internal::ParkReason::kPhaser, /*timed=*/false, &Phaser::Withdraw, /*cancel_wins=*/false, /*for_children=*/false,
    [](const internal::ThreadBlock& thread) {
      const Phaser& phaser = static_cast<Waiting*>(thread.waiting_on)->phaser;
      return absl::StrCat(" in phase ", phaser.phase_, ", ", phaser.registered_ - phaser.unarrived_, " of ",
                          phaser.registered_, " have arrived");
    }};

Phaser::Phaser(int64_t parties, OnAdvance on_advance)
    : on_advance_(std::move(on_advance)), registered_(parties), unarrived_(parties) {
  WEFT_CHECK(parties >= 0) << "a Phaser of " << parties << " parties; it needs 0 or more";
}

Phaser::~Phaser() {
  std::lock_guard guard(waiters_.lock);
  WEFT_CHECK(waiters_.nodes.empty()) << "a Phaser is destroyed by " << internal::DescribeCaller() << " while "
                                     << internal::DescribeThread(waiters_.First()) << " waits for it";
  WEFT_CHECK(!advancing_) << "a Phaser is destroyed by " << internal::DescribeCaller() << " while it advances";
}

Phaser::Waiting& Phaser::WaitingOf(internal::WaitNode& node) noexcept {
  return *static_cast<Waiting*>(internal::Waiters::ThreadOf(node).waiting_on);
}

int64_t Phaser::Register(int64_t parties) noexcept {
  WEFT_CHECK(parties >= 0) << "Register(" << parties << ") of a Phaser; it needs 0 or more";
  std::lock_guard guard(waiters_.lock);
  if (terminated_) return PhaseLocked();
  WEFT_CHECK(parties <= INT64_MAX - registered_)
      << "Register(" << parties << ") of a Phaser of " << registered_ << " parties: together these are too many";
  registered_ += parties;
  unarrived_ += parties;
  if (parties > 0) due_again_ = false;  // the next phase, if it was complete, waits for these
  return ArrivalPhaseLocked();
}

int64_t Phaser::phase() noexcept {
  std::lock_guard guard(waiters_.lock);
  return PhaseLocked();
}

int64_t Phaser::registered() noexcept {
  std::lock_guard guard(waiters_.lock);
  return registered_;
}

int64_t Phaser::arrived() noexcept {
  std::lock_guard guard(waiters_.lock);
  return registered_ - unarrived_;
}

// Under the lock. True: the caller is the last, and calls Advance() without the lock.
bool Phaser::ArriveLocked(bool deregisters) noexcept {
  WEFT_CHECK(unarrived_ > 0) << internal::DescribeCaller() << " arrives at a Phaser of " << registered_
                             << " parties, all of which have arrived in phase " << ArrivalPhaseLocked();
  --unarrived_;
  if (deregisters) --registered_;
  if (unarrived_ > 0) return false;
  if (advancing_) {
    due_again_ = true;
    return false;
  }
  BeginAdvanceLocked();
  return true;
}

// Under the lock: all have arrived. From here on arrivals count for the next phase.
void Phaser::BeginAdvanceLocked() noexcept {
  advancing_ = true;
  due_again_ = false;
  ending_parties_ = unarrived_ = registered_;
}

int64_t Phaser::Arrive(bool deregisters) {
  int64_t phase;
  {
    std::lock_guard guard(waiters_.lock);
    if (terminated_) return PhaseLocked();
    phase = ArrivalPhaseLocked();
    if (!ArriveLocked(deregisters)) return phase;
  }
  Advance();
  return phase;
}

// One call of on_advance. Its destructor ends the phase, also if on_advance throws: then the phaser terminates.
class Phaser::Call {
 public:
  explicit Call(Phaser& phaser) noexcept : phaser_(phaser) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (!ended_) End(/*terminate=*/true);
  }
  // True: there is another phase to end.
  bool End(bool terminate) noexcept {
    ended_ = true;
    return phaser_.EndPhase(terminate, next);
  }

  int64_t next = 0;

 private:
  Phaser& phaser_;
  bool ended_ = false;
};

// By the last to arrive. Returns the phase that follows. Others may have arrived in that one by now: then it ends, too.
int64_t Phaser::Advance() {
  for (int64_t first = 0;; ) {
    Call call(*this);
    // Only this thread writes these two, while it advances.
    const bool again = call.End(on_advance_ != nullptr ? on_advance_(phase_, ending_parties_) : ending_parties_ == 0);
    if (first == 0) first = call.next;
    if (!again) return first;
  }
}

// The waits for the phase are over. True: the next one is complete as well, and the caller advances again. False: the
// phaser may be gone.
bool Phaser::EndPhase(bool terminate, int64_t& next) noexcept {
  internal::WaitNodes woken;
  bool again;
  {
    std::lock_guard guard(waiters_.lock);
    if (!terminated_) ++phase_;  // Terminate() has ended it where it was, and has told so
    terminated_ = terminated_ || terminate;
    again = due_again_ && !terminated_;
    advancing_ = false;
    next = PhaseLocked();
    GrantLocked(woken);
    if (again) BeginAdvanceLocked();
  }
  internal::Waiters::WakeAll(woken);
  return again;
}

// Under the lock: takes out those who wait for a phase that is over, or all, if the phaser has terminated.
void Phaser::GrantLocked(internal::WaitNodes& woken) noexcept {
  internal::WaitNodes all;
  all.Splice(waiters_.nodes);
  while (internal::WaitNode* const node = all.PopFront()) {
    Waiting& waiting = WaitingOf(*node);
    if (!terminated_ && waiting.phase >= phase_) {
      waiters_.nodes.PushBack(node);
      continue;
    }
    waiting.next = PhaseLocked();
    internal::Waiters::Claim(*node);
    woken.PushBack(node);
  }
}

void Phaser::Terminate() noexcept {
  internal::WaitNodes woken;
  {
    std::lock_guard guard(waiters_.lock);
    if (std::exchange(terminated_, true)) return;
    GrantLocked(woken);
  }
  internal::Waiters::WakeAll(woken);
}

// Under the lock: is there nothing to wait for? Then the arrival, if it is one, has counted; otherwise nothing has
// changed.
bool Phaser::EndIfOverLocked(Waiting& waiting) noexcept {
  waiting.next = PhaseLocked();
  if (terminated_) return true;
  if (!waiting.arrives) return waiting.phase != phase_ && waiting.phase != ArrivalPhaseLocked();
  if (unarrived_ > 1 || advancing_) return false;
  waiting.advances = ArriveLocked(/*deregisters=*/false);
  return true;
}

bool Phaser::EndIfOver(Waiting& waiting) noexcept {
  std::lock_guard guard(waiters_.lock);
  return EndIfOverLocked(waiting);
}

bool Phaser::Suspend(Waiting& waiting, internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, &waiting, frame, kWait, [&] {
    if (EndIfOverLocked(waiting)) return true;
    if (waiting.arrives) {
      waiting.phase = ArrivalPhaseLocked();
      ArriveLocked(/*deregisters=*/false);
    }
    return false;
  });
}

// An arrival is taken back, unless its phase is complete and advances. If it was the last of the phase that is to
// advance next, that is not complete any more, as after a Register().
bool Phaser::Withdraw(internal::ThreadBlock& thread) noexcept {
  Waiting& waiting = *static_cast<Waiting*>(thread.waiting_on);
  Phaser& phaser = waiting.phaser;
  std::lock_guard guard(phaser.waiters_.lock);
  if (waiting.arrives && phaser.advancing_ && waiting.phase == phaser.phase_) return false;
  if (!phaser.waiters_.WithdrawLocked(thread)) return false;
  if (waiting.arrives) {
    ++phaser.unarrived_;
    phaser.due_again_ = false;
  }
  return true;
}

}  // namespace weft
