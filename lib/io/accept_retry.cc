#include "lib/io/accept_retry.h"

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "lib/base/fence.h"
#include "lib/base/list.h"
#include "lib/os/global_lock.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/timer_wheel.h"
#include "weft/internal/atomic.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

using Pauses = List<AcceptRetry::PauseAwaiter, PauseTag>;

// Of the process, as descriptors are. relaxed: the fences order it.
constinit Atomic<int> short_accepts{0};

struct Shortage {
  GlobalLock lock;
  uint64_t generation = 0;  // guarded by lock
  Pauses pauses;            // guarded by lock
};

// Constant before any thread runs, so a fork never finds it half made. Never destroyed: a socket may be closed by a
// destructor that runs later.
[[clang::no_destroy]] constinit Shortage the_shortage;

// The connection's own errors, which accept(2) passes on, and the refusal of a firewall.
bool IsOfOneConnection(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case ECONNRESET:
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
      return true;
    default:
      return false;
  }
}

// ENOSPC: the user watches as many descriptors as it may, by epoll.
bool IsShortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == ENOSPC;
}

}  // namespace

void DescriptorFreed() noexcept {
  StoreLoadFence();  // [short/4] seq_cst: pairs with [short/2]
  if (short_accepts.load(std::memory_order_relaxed) == 0) return;
  Pauses over;
  {
    std::lock_guard guard(the_shortage.lock);
    ++the_shortage.generation;
    for (auto* pause = the_shortage.pauses.front(); pause != nullptr; pause = the_shortage.pauses.Next(pause)) {
      pause->state_ = AcceptRetry::PauseAwaiter::State::kOver;
    }
    over.Splice(the_shortage.pauses);
  }
  // Each stays where it is until its one wake-up.
  while (AcceptRetry::PauseAwaiter* const pause = over.PopFront()) Wake(*pause->thread_);
}

AcceptRetry::~AcceptRetry() {
  if (short_) short_accepts.fetch_sub(1, std::memory_order_relaxed);
}

void AcceptRetry::BeginTry() noexcept {
  if (!short_) return;
  std::lock_guard guard(the_shortage.lock);
  generation_ = the_shortage.generation;
}

AcceptRetry::Next AcceptRetry::After(int error) noexcept {
  const bool broken = IsOfOneConnection(error);
  if (broken && ++broken_ < kMaxBroken) return Next::kTry;
  if (!waits_ || !(broken || IsShortage(error))) return Next::kFail;
  if (short_) return Next::kPause;
  short_ = true;
  short_accepts.fetch_add(1, std::memory_order_relaxed);
  StoreLoadFence();  // [short/2] seq_cst: pairs with [short/4]
  return Next::kTry;  // what was closed before is found now
}

const WaitKind AcceptRetry::PauseAwaiter::kWait = {ParkReason::kAccept, /*timed=*/true, &PauseAwaiter::Withdraw};

void AcceptRetry::PauseAwaiter::Suspend(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kWait, this)) return;
  thread_ = CurrentThread();
  timer_.subject = this;
  timer_.fire = &Fire;
  timer_.cancel_waits = true;  // what it touches goes away with us
  ArmTimer(timer_, RuntimeNow() + pause_ns_);
  {
    std::lock_guard guard(the_shortage.lock);
    if (state_ == State::kNotYet && the_shortage.generation == generation_) {
      state_ = State::kWaiting;
      the_shortage.pauses.PushBack(this);
      return;
    }
    state_ = State::kOver;
  }
  YieldInstead();
}

AcceptRetry::PauseAwaiter::~PauseAwaiter() {
  if (timer_.wheel != nullptr) timer_.wheel->Cancel(timer_);
}

void AcceptRetry::PauseAwaiter::Fire(TimerNode* node) noexcept {
  PauseAwaiter& pause = *static_cast<PauseAwaiter*>(node->subject);
  {
    std::lock_guard guard(the_shortage.lock);
    if (std::exchange(pause.state_, State::kOver) != State::kWaiting) return;
    Pauses::Remove(&pause);
  }
  Wake(*pause.thread_);
}

bool AcceptRetry::PauseAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  PauseAwaiter& pause = *static_cast<PauseAwaiter*>(thread.waiting_on);
  std::lock_guard guard(the_shortage.lock);
  if (std::exchange(pause.state_, State::kOver) != State::kWaiting) return false;
  Pauses::Remove(&pause);
  return true;
}

}  // namespace weft::internal
