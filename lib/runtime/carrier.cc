#include "lib/runtime/carrier.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "lib/base/fence.h"
#include "lib/coro/frame_cache.h"
#include "lib/runtime/runtime_core.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

// So many rounds take about as long as a wake-up across processors, some tens of microseconds.
constexpr int kSearchRounds = 100;
// A thread that is pushed where the other carrier then computes waits so much longer for this one; a sleep takes some
// tens of microseconds of it for itself.
constexpr int64_t kDozeNanos = 250'000;

}  // namespace

constinit thread_local Carrier* current_carrier = nullptr;

std::unique_ptr<Carrier> Carrier::Make(RuntimeCore& runtime, uint32_t index) noexcept {
  return std::unique_ptr<Carrier>(new (std::nothrow) Carrier(runtime, index));
}

void Carrier::DieOutsideThread(const char* what) noexcept {
  WEFT_CHECK(CurrentThread() != nullptr) << what << " outside a virtual thread; start one with weft::Run(task)";
  __builtin_unreachable();
}

// Called once by the host, on the carrier's OS thread or fiber. When it returns, the runtime stops, and nothing is
// mounted.
void Carrier::Main() noexcept {
  SetCurrent(this);
  while (!runtime.stopping()) {
    // All others may sleep without a limit (ParkDeadline). So a carrier that retires, and one that is called back, tell
    // one of them.
    if (runtime.carriers.MayRun(*this) == retired_) [[unlikely]] {
      retired_ = !retired_;
      runtime.NotifyWork();
    }
    if (retired_) {
      Retire();
    } else if (!Step()) {
      Idle();
    }
    runtime.host->BetweenSteps(*this);
  }
  SetCurrent(nullptr);
}

// Runs one thread. False: there was none.
bool Carrier::Step() noexcept {
  if (!duties.CountAndAsk()) [[likely]]
    return RunNext();
  duties.PollTimersAndDriver();
  return RunPinned(queue.TakePinned()) || RunNext();
}

[[gnu::always_inline]] inline bool Carrier::RunNext() noexcept {
  if (runtime.cancel_queue.MayHave()) [[unlikely]] {
    runtime.cancel_queue.RunBatch(kShutdownBatch);
    if (runtime.cancel_queue.MayHaveCallbacks()) {
      // Others leave their work to a searcher. A callback may wait in a destructor for just that.
      if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
      runtime.cancel_queue.RunStopCallbacks();
    }
  }
  ThreadBlock* thread = runtime.config.chooser != nullptr ? queue.TakeOutOfTurn() : nullptr;
  if (thread == nullptr) thread = queue.TakeOldest();
  if (thread == nullptr) return RunAfterPoll();
  Run(*thread);
  return true;
}

// The deque is empty.
bool Carrier::RunAfterPoll() noexcept {
  duties.PollTimersAndDriver();
  if (RunPinned(queue.TakePinned())) return true;
  ThreadBlock* thread = queue.TakeOldest();
  // A searcher does not pause, nor sleep: others rely on it.
  const bool may_pause = !idle.searching();
  if (thread == nullptr && may_pause && queue.StealsInVain() && !queue.pinned.MayHave()) {
    Doze();
    thread = queue.TakeOldest();
  }
  if (thread == nullptr) thread = queue.Steal(may_pause);
  if (thread == nullptr) return false;
  Run(*thread);
  return true;
}

// After a poll. Afterwards the pinned thread may be in the deque, if it has yielded: it goes back to where no thief
// meets it. Where turns are so long that each is followed by a poll, the pinned ones would come before every thread in
// the deque: after the last of their round comes one of these.
//
// Who wakes another thread tells an idle carrier (NotifyPushed), which looks after this one from then on; nobody told
// one of this thread. All others may sleep without a limit. (ParkDeadline)
bool Carrier::RunPinned(ThreadBlock* thread) noexcept {
  if (thread == nullptr) [[likely]]
    return false;
  TellIfSlept();
  Run(*thread);
  queue.TakeBackPinned();
  queue.pinned.IsNext() ? duties.PollNext() : duties.DispatchNext();
  return true;
}

[[gnu::always_inline]] inline void Carrier::Run(ThreadBlock& thread) noexcept {
  // The last searcher notifies: others may have left work to it.
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  if (queue.TookStolen()) {
    RunStolen(thread);
  } else {
    RunThread(thread);
  }
}

void Carrier::RunStolen(ThreadBlock& thread) noexcept {
  const int64_t begin = runtime.Now();
  RunThread(thread);
  queue.JudgeTheft(runtime.Now() - begin);
}

// ---- Having nothing to run.

// Having nothing that is worth stealing. Nobody counts on this carrier meanwhile: it is not in the idle protocol, and
// comes back by itself. What is its own wakes it.
void Carrier::Doze() noexcept {
  runtime.host->Park(*this, std::min(duties.timers.NextDeadline(), runtime.Now() + kDozeNanos));
  duties.PollTimersAndDriver();
}

// The idle protocol: see idle_carriers.h.
void Carrier::Idle() noexcept {
  if (runtime.idle.BeginSearch(idle, runtime.carrier_count())) {
    Search();
    return;
  }
  const bool notifies = runtime.idle.Park(
      idle,
      [this] {
        ForcePublication();
        return runtime.HasWork() || queue.pinned.MayHave() || runtime.stopping() || !runtime.carriers.MayRun(*this);
      },
      [this] { ParkUntil(duties.ParkDeadline(idle)); });
  if (notifies) runtime.NotifyWork();
  duties.PollTimersAndDriver();
}

// Spins until there is something in a queue, or for long enough; Step() looks then.
void Carrier::Search() noexcept {
  for (int round = 0; round < kSearchRounds && !runtime.HasWork() && !queue.pinned.MayHave(); ++round) CpuRelax();
}

// Forces the fence at [idle/2] on the other carriers, which make none of their own. We see what they pushed before it;
// after it, they see that we are parked.
void Carrier::ForcePublication() noexcept {
  const uint32_t count = runtime.carrier_count();
  bool biased = false;
  for (uint32_t i = 0; i < count; ++i) {
    if (i != index) biased |= runtime.carrier(i).queue.deque.RevokeBias();
  }
  if (biased) HeavyFence();  // [publish/3] heavy: pairs with [publish/1]
  for (uint32_t i = 0; i < count; ++i) {
    if (i == index) continue;
    if (biased) runtime.carrier(i).queue.deque.BiasRevoked();
    runtime.carrier(i).queue.deque.Leave();
  }
}

// Enough other carriers are running. This one keeps serving its timers, its operations (on epoll, if a thread is pinned
// to it), and the threads that are pinned to it, and leaves the others that these wake to others.
void Carrier::Retire() noexcept {
  if (runtime.idle.EndSearch(idle)) runtime.NotifyWork();
  duties.PollTimersAndDriver();
  if (queue.InjectAll()) runtime.NotifyWork();
  if (RunPinned(queue.TakePinnedAlone())) return;
  // We look again after the poll, which takes rings, because whoever raises the limit or stops the runtime rings
  // afterwards.
  if (runtime.carriers.MayRun(*this) || runtime.stopping()) return;
  // What ends is for others, except for threads that live here, whom nobody else can serve.
  Driver* const driver = duties.driver.get();
  if (driver != nullptr) driver->SetWaits(pinned_threads == 0 ? Driver::Waits::kAside : Driver::Waits::kAlways);
  ParkUntil(duties.timers.NextDeadline());
  if (driver != nullptr) driver->SetWaits(Driver::Waits::kInTurn);
}

void Carrier::TellIfSlept() noexcept {
  if (!HasSlept()) return;
  runtime.NotifyWork();
  // If a free one was told, those that wait in destructors do not know yet, and no push will tell them. (NotifyOfPush)
  if (runtime.carriers.any_blocked()) runtime.carriers.RingBlocked();
}

void Carrier::ParkUntil(int64_t deadline_ns) noexcept {
  duties.asleep.store(true, std::memory_order_relaxed);
  runtime.host->Park(*this, deadline_ns);
  duties.Woken();
  has_slept_ = true;
  if (!runtime.config.watched) return;
  static_cast<void>(runtime.watch_bell.Ring());
  const uint32_t calms = runtime.calms.load(std::memory_order_relaxed);
  if (std::exchange(calms_, calms) == calms) return;
  SpillFreeFrames();
  queue.deque.ReturnMemory();
}

// ---- What a host does with a carrier. (host.h)

uint32_t IndexOf(const Carrier& carrier) noexcept { return carrier.index; }
std::unique_ptr<Driver>& DriverOf(Carrier& carrier) noexcept { return carrier.duties.driver; }
void RunCarrier(Carrier& carrier) noexcept { carrier.Main(); }
Carrier* ExchangeCarrier(Carrier* carrier) noexcept {
  Carrier* const before = Carrier::Current();
  Carrier::SetCurrent(carrier);
  return before;
}

}  // namespace weft::internal
