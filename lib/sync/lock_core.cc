#include "weft/sync/lock_core.h"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/cancel/drain.h"
#include "lib/cancel/press.h"
#include "lib/os/stand_in.h"
#include "lib/sync/lock_order.h"
#include "lib/sync/lock_state.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "lib/thread/selectable_wait.h"
#include "weft/channel/wait_case.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/thread_key.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"

namespace weft::internal {
namespace {

using Steps = LockSteps<ThreadBlock>;
using SelectNode = WaitCase<ThreadBlock>;

// ---- What is said of a lock. The columns are those of LockKind.

constexpr const char* kNames[] = {"Mutex", "RecursiveMutex", "SharedMutex", "Semaphore"};

const char* NameOf(const LockState<ThreadBlock>& lock) noexcept { return kNames[static_cast<size_t>(lock.kind)]; }

// Who holds it, while no thread runs.
std::string Whose(const ThreadBlock& thread) {
  const auto& wait = *static_cast<const LockWait*>(thread.waiting_on);
  const LockState<ThreadBlock>& lock = *wait.lock;
  const std::string last = ThreadLabel(lock.holder.holder().id);
  const int64_t held = lock.permits - lock.available;
  if (lock.kind == LockKind::kSharedMutex && lock.available > 0) {
    return held == 0 ? std::string() : absl::StrCat(", held by ", held, " readers, the last one ", last);
  }
  if (lock.permits == 0) return ", which has no permits";
  if (lock.kind != LockKind::kSemaphore || (lock.permits == 1 && held == 1)) return absl::StrCat(", held by ", last);
  if (wait.permits > lock.permits) return absl::StrCat(", which has ", lock.permits, " permits, for ", wait.permits);
  if (held == 0) return absl::StrCat(", ", lock.available, " permits free");
  return absl::StrCat(", ", held == lock.permits ? "all " : absl::StrCat(held, " of "), lock.permits,
                      " permits held, the last one by ", last);
}

bool TakeOrPark(ThreadBlock& self) noexcept;

// A wait, and what a thread does before it that lets others run.
struct KindsOf {
  constexpr explicit KindsOf(ParkReason reason) noexcept
      : wait{reason, /*timed=*/false, &Steps::Withdraw, /*cancel_wins=*/false, /*for_children=*/false, &Whose},
        before{reason, /*timed=*/false, &WaitKind::NotWithdrawn, /*cancel_wins=*/false, /*for_children=*/false, nullptr,
               &TakeOrPark} {}
  WaitKind wait;
  WaitKind before;
};
constinit const KindsOf kKinds[] = {KindsOf(ParkReason::kMutex), KindsOf(ParkReason::kRecursiveMutex),
                                    KindsOf(ParkReason::kSharedMutex), KindsOf(ParkReason::kSemaphore)};
constinit const KindsOf kReads = KindsOf(ParkReason::kSharedMutexRead);

const KindsOf& KindOf(const LockWait& wait) noexcept {
  const bool reads = wait.lock->kind == LockKind::kSharedMutex && wait.permits != wait.lock->permits;
  return reads ? kReads : kKinds[static_cast<size_t>(wait.lock->kind)];
}

// If the holder drains, it is made to give the lock back now: it could not go on before its children have ended, and
// the caller may be one of them.
void Press(const LockHolder& holder) noexcept { PressHolder(holder.thread, holder.scopes_opened); }

void CheckIsNoOther(const LockWait& wait, const LockHolder& holder, const ThreadKey& self, const char* form,
                    const std::source_location& where) {
  WEFT_CHECK(holder.since.line() == 0 || holder.thread != self)
      << ParkReasonName(KindOf(wait).wait.reason) << form << " at " << where.file_name() << ":" << where.line()
      << " by " << DescribeCaller() << ", which has locked the same " << NameOf(*wait.lock) << " at "
      << holder.since.file_name() << ":" << holder.since.line() << " and holds it still: it would wait for itself";
}

// WaitKind::park_again, when the others have run.
bool TakeOrPark(ThreadBlock& self) noexcept {
  auto& wait = static_cast<AwaitedLock&>(*static_cast<LockWait*>(self.waiting_on));
  LockHolder holder;
  if (!EnterWaitAgain(KindOf(wait).wait, wait.where)) return false;
  if (Steps::TakeOrAdd(wait, self, holder)) {
    GoOnInstead();
    return false;
  }
  Press(holder);
  return true;
}

LockWait& WaitIn(void* waited_for) noexcept { return *static_cast<LockWait*>(waited_for); }
void TakeBack(void* waited_for, SelectNode& node) noexcept { Steps::TakeBack(*WaitIn(waited_for).lock, node); }

}  // namespace

// Who holds a permit, or has locked to read, is not known; so those locks are counted. A writer is known.
static bool IsCounted(LockKind kind) noexcept { return kind == LockKind::kSemaphore || kind == LockKind::kSharedMutex; }

void ListWanted(HeldLock& held, LockKind kind) noexcept {
  if (IsCounted(kind)) CountWanted(held, 1);
  if (kind != LockKind::kSemaphore) TheWantedLocks().Add(held);
}
void UnlistWanted(HeldLock& held, LockKind kind) noexcept {
  if (IsCounted(kind)) CountWanted(held, -1);
  if (kind != LockKind::kSemaphore) TheWantedLocks().Remove(held);
}

// Odd, so it is the address of no thread, and never given out anew: a lock may be held in the name of an OS thread that
// has ended.
[[gnu::noinline]] ThreadKey OsThreadKey() noexcept {
  static constinit Atomic<uintptr_t> last{1};  // relaxed: only that numbers differ
  static constinit thread_local uintptr_t mine = 0;
  StandIn* const stand_in = CurrentStandIn();
  uintptr_t& key = stand_in != nullptr ? stand_in->lock_key : mine;
  if (key == 0) [[unlikely]]
    key = last.fetch_add(2, std::memory_order_relaxed) + 2;
  return {reinterpret_cast<const void*>(key), 0};
}

constinit const SelectableWait<ThreadBlock> LockCore::kSelect = {
    .lock = [](void* waited_for) noexcept { return &WaitIn(waited_for).lock->waiters.lock; },
    .take = [](void* waited_for) noexcept {
      const LockWait& wait = WaitIn(waited_for);
      return SelectTaken{.taken = Steps::TakeLocked(*wait.lock, wait.permits, CurrentThread())};
    },
    .finish = nullptr,
    .add = [](void* waited_for, SelectNode& node) noexcept { Steps::AddLocked(*WaitIn(waited_for).lock, node); },
    // The lock may have another holder by now; then that is pressed.
    .after_add =
        [](void* waited_for, SelectNode&) noexcept {
          LockState<ThreadBlock>& lock = *WaitIn(waited_for).lock;
          LockHolder holder;
          {
            std::lock_guard guard(lock.waiters.lock);
            holder = Steps::HolderOf(lock);
          }
          Press(holder);
        },
    .take_back = &TakeBack,
    .make_way = &TakeBack,
};

LockCore::LockCore(LockKind which, int64_t count) : LockState(which, count) {
  WEFT_CHECK(count >= 0) << "a Semaphore of " << count << " permits; it needs 0 or more";
}

LockCore::~LockCore() {
  if (ordered) [[unlikely]]
    ForgetOrderOf(*this);
  std::lock_guard guard(waiters.lock);
  if (waiters.nodes.empty() && available == permits) [[likely]]
    return;
  const std::string begin = absl::StrCat("a ", NameOf(*this), " is destroyed by ", DescribeCaller(), " while ");
  const int64_t held = permits - available;
  const std::string last = ThreadLabel(holder.holder().id);
  WEFT_CHECK(kind == LockKind::kSemaphore || held < permits) << begin << "it is locked by " << last;
  WEFT_CHECK(kind == LockKind::kSemaphore || held == 0)
      << begin << held << " threads hold it to read; the last one is " << last;
  WaitNode* const first = waiters.nodes.front();
  WEFT_CHECK(first == nullptr) << begin
                               << (first->wait_state == WaitNode::State::kOsThread
                                       ? "an OS thread"
                                       : DescribeThread(WaitQueue<ThreadBlock>::ThreadOf(*first)))
                               << " waits for it";
  WEFT_CHECK(held == 0) << begin << held << " of its " << permits
                        << " permits are held; the last one was acquired by " << last;
}

[[gnu::flatten]] bool LockCore::Take(int64_t count) noexcept { return Steps::Take(*this, count, CurrentThread()); }

// Whether a negative number is asked for only those look who do not take it at once: it never fits.
static void CheckPermits(const LockWait& wait) {
  WEFT_CHECK(wait.permits >= 0) << "Semaphore::Acquire(" << wait.permits << "); it needs 0 or more";
}

SelectPart LockCore::PartOf(LockWait& wait) noexcept {
  CheckPermits(wait);
  return {&wait, &kSelect};
}

// A thread that has used up its turn does not take the lock before it lets others run: all who want it would come to
// wait for it, and from then on each lock would be handed from one to the next.
bool LockCore::Suspend(AwaitedLock& wait, AwaitingFrame frame) noexcept {
  CheckPermits(wait);
  const KindsOf& kinds = KindOf(wait);
  if (!EnterWait(frame, kinds.wait, static_cast<LockWait*>(&wait))) return true;
  ThreadBlock& self = *CurrentThread();
  LockHolder holder;
  if (HasUsedUpTurn()) {
    if (!Steps::AddUnlessFree(wait, self, holder)) {
      wait.where = frame.where;
      self.wait.store(&kinds.before, std::memory_order_relaxed);
      YieldInstead();
      return true;
    }
  } else if (Steps::TakeOrAdd(wait, self, holder)) {
    GoOnInstead();
    return false;
  }
  CheckIsNoOther(wait, holder, self.key(), "()", frame.where);
  Press(holder);
  return true;
}

void LockCore::Block(int64_t count, std::source_location where) noexcept {
  LockWait wait = {this, count};
  WEFT_CHECK(CurrentCarrier() == nullptr)
      << ParkReasonName(KindOf(wait).wait.reason) << "Blocking() by " << DescribeCaller()
      << ", which would hold its carrier: it is for OS threads; a virtual thread awaits the form without Blocking";
  WEFT_CHECK(count >= 0) << "Semaphore::AcquireBlocking(" << count << "); it needs 0 or more";
  WEFT_CHECK(count <= permits) << "Semaphore::AcquireBlocking(" << count << ") of a Semaphore of " << permits
                               << " permits: it would wait for ever";
  OsLockNode<ThreadBlock> self(wait);
  LockHolder holder;
  if (Steps::TakeOrAdd(wait, self, holder)) return;
  CheckIsNoOther(wait, holder, self.key, "Blocking()", where);
  Press(holder);
  self.Await();
}

int64_t LockCore::QueueLength() noexcept { return QueueLengthOf(waiters); }

// A thread that locks a RecursiveMutex again does not wait.
void LockCore::NoteOrder(std::source_location where, Taking taking) noexcept {
  if (kind == LockKind::kSemaphore) return;
  const ThreadBlock* const self = CurrentThread();
  {
    std::lock_guard guard(waiters.lock);
    if (taking == Taking::kNew && Steps::IsHeldBy(*this, self)) return;
    ordered = true;
  }
  NoteWanted(*this, where, self);
}

// Of a RecursiveMutex that was locked again, the first guard counts: it is the last to go.
void LockCore::NoteSite(std::source_location where) noexcept {
  const ThreadBlock* const self = CurrentThread();
  {
    std::lock_guard guard(waiters.lock);
    if (holder.holder().address == nullptr || again > 0) return;
    since = where;
    passed_on.store(false, std::memory_order_relaxed);
    ordered = true;
  }
  NoteHeld(*this, self);
}

void LockCore::NoteAgain() noexcept {
  const ThreadBlock* const self = CurrentThread();
  {
    std::lock_guard guard(waiters.lock);
    if (!Steps::IsHeldBy(*this, self)) return;
    ordered = true;
  }
  NoteHeld(*this, self);
}

void ExclusiveHold::Unlock() noexcept {
  if (lock_ == nullptr) return;
  LockCore& lock = *std::exchange(lock_, nullptr);
  if (lock.kind == LockKind::kRecursiveMutex) return Steps::GiveHold(lock);
  Steps::GiveWhole(lock);
}

// A lock does not know the holder of each permit. So the thread that gets one counts it itself. (drain.h)
CountedHold::CountedHold(LockCore& lock, int64_t permits) noexcept
    : lock_(&lock), permits_(permits), receipt_(CountPermit()) {}

void CountedHold::Release() noexcept {
  if (lock_ == nullptr) return;
  UncountPermit(receipt_);
  Steps::Give(*std::exchange(lock_, nullptr), permits_);
}

}  // namespace weft::internal
