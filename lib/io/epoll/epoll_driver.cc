#include "lib/io/epoll/epoll_driver.h"

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "lib/os/clock.h"
#include "lib/os/futex.h"
#include "lib/os/syscalls.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

// What one call moves at most, as for read(2) and write(2).
constexpr size_t kMaxTransferBytes = 0x7ffff000;

}  // namespace

EpollDriver::~EpollDriver() {
  WEFT_CHECK(in_flight() == 0) << "an epoll driver is destroyed with " << in_flight() << " operations in flight";
  // This carrier may have been the one on which those who are parked relied to poll again.
  backend_.Promote();
}

// ---- Starting and cancelling ---------------------------------------------------------------------------------------

bool EpollDriver::Try(Operation& op) noexcept {
  for (;;) {
    ssize_t result = -1;
    switch (op.code) {
      case Operation::Code::kReceive:
        result = Sys().recv(op.fd, op.buffer, op.length, MSG_DONTWAIT);
        break;
      case Operation::Code::kSend:
        result = Sys().send(op.fd, op.buffer, op.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
      case Operation::Code::kAccept:
        result = Sys().accept4(op.fd, op.address, op.address_length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        break;
      case Operation::Code::kConnect:
        // Asked again, it says how the attempt stands.
        result = Sys().connect(op.fd, op.address, *op.address_length);
        break;
    }
    const int error = result < 0 ? errno : 0;
    const bool connect = op.code == Operation::Code::kConnect;
    if (error == EINTR) continue;
    if (connect ? error == EINPROGRESS || error == EALREADY : error == EAGAIN) return false;
    op.result = error == 0 ? static_cast<int32_t>(result) : -error;
    return true;
  }
}

bool EpollDriver::Start(Operation& op) noexcept {
  op.driver = this;
  op.cancelled = false;
  op.length = std::min(op.length, kMaxTransferBytes);
  if (MovesNothing(op)) {
    op.result = 0;
    return true;
  }
  const bool in = op.code == Operation::Code::kReceive || op.code == Operation::Code::kAccept;

  Descriptor* descriptor = backend_.FindRegistered(op.fd);
  if (descriptor != nullptr) {
    // [edge/1] acq_rel, and an exchange: it has to be over before the call is made. Pairs with [edge/2]. As a plain
    // store, it could overwrite the notice of an edge that came after the call.
    (in ? descriptor->in : descriptor->out).ready.exchange(false, std::memory_order_acq_rel);
  }
  if (Try(op)) return true;
  if (descriptor == nullptr) {
    int error = 0;
    descriptor = backend_.Register(op.fd, error);
    if (descriptor == nullptr) {
      op.result = -error;
      return true;
    }
  }

  Direction& direction = in ? descriptor->in : descriptor->out;
  std::lock_guard guard(direction.lock);
  // relaxed: [edge/2] is made with the lock held.
  while (direction.ready.load(std::memory_order_relaxed)) {
    direction.ready.exchange(false, std::memory_order_acq_rel);  // [edge/1]
    if (Try(op)) return true;
  }
  // relaxed: with the lock held; see PendingOperations.
  if (op.pending != nullptr && op.pending->closed.load(std::memory_order_relaxed)) {
    op.result = -EBADF;
    return true;
  }
  op.slot = &direction;
  // relaxed: the lock orders it.
  op.state.store(kWaiting, std::memory_order_relaxed);
  // relaxed: a count, which publishes nothing.
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  direction.Push(op);
  return false;  // from here on another thread may complete it
}

void EpollDriver::Wake(Direction& direction, OperationQueue& ended) noexcept {
  std::lock_guard guard(direction.lock);
  while (Operation* const op = direction.first) {
    if (!Try(*op)) return;
    direction.Remove(*op);
    // relaxed: the lock orders it.
    op->state.store(kIdle, std::memory_order_relaxed);
    ended.Push(*op);
  }
  // [edge/2] release: pairs with [edge/1]. Whoever made its call before this edge, and is not a waiter yet, sees it.
  direction.ready.store(true, std::memory_order_release);
}

void EpollDriver::RequestCancel(Operation& op) noexcept {
  Direction& direction = *static_cast<Direction*>(op.slot);
  std::lock_guard guard(direction.lock);
  // relaxed: the lock orders it.
  if (op.state.load(std::memory_order_relaxed) == kWaiting) Cancel(direction, op);
}

void EpollDriver::Cancel(Direction& direction, Operation& op) noexcept {
  direction.Remove(op);
  // relaxed: the lock orders it.
  op.state.store(kCancelled, std::memory_order_relaxed);
  op.result = -ECANCELED;
  op.cancelled = true;
  EpollDriver& driver = *static_cast<EpollDriver*>(op.driver);
  Operation* head = driver.inbox_.load(std::memory_order_relaxed);
  do {
    op.link = head;
    // [inbox/1] release: pairs with [inbox/2]. Weaker, the taker could read an old `link` or `result`.
  } while (!driver.inbox_.compare_exchange_weak(head, &op, std::memory_order_release, std::memory_order_relaxed));
  driver.Ring();
}

// ---- Polling -------------------------------------------------------------------------------------------------------

int EpollDriver::Poll(int64_t timeout_ns) noexcept {
  const bool rung = TakeRing();
  OperationQueue ended;
  TakeInbox(ended);
  if (timeout_ns > 0 && !rung && ended.empty()) {
    Wait(timeout_ns, ended);
    TakeInbox(ended);
  } else {
    backend_.Look(0, ended);
  }
  return Deliver(ended);
}

void EpollDriver::Wait(int64_t timeout_ns, OperationQueue& ended) noexcept {
  const int64_t now_ns = Clock::Real().NowNanos();
  const bool limited = timeout_ns < kNoTimeout - now_ns;
  const int64_t deadline_ns = limited ? now_ns + timeout_ns : kNoDeadlineNs;
  for (;;) {
    const bool poller = backend_.Enter(*this);
    // [doorbell/2] seq_cst: see [doorbell/1] in EpollBackend::Enter().
    if (!rung_.load(std::memory_order_seq_cst)) {
      if (poller) {
        backend_.Look(limited ? timeout_ns : kNoTimeout, ended);
      } else {
        FutexWait(where_, kParked, deadline_ns);
      }
    }
    // relaxed: a ringer that still sees the old value wakes somebody for nothing.
    where_.store(kRunning, std::memory_order_relaxed);
    backend_.Leave(*this);
    if (TakeRing() || !ended.empty()) return;
    if (limited) {
      timeout_ns = deadline_ns - Clock::Real().NowNanos();
      if (timeout_ns <= 0) return;
    }
  }
}

int EpollDriver::Relieve() noexcept {
  OperationQueue ended;
  TakeInbox(ended);
  backend_.Look(0, ended);
  backend_.Promote();
  return Deliver(ended);
}

void EpollDriver::TakeInbox(OperationQueue& ended) noexcept {
  // relaxed: an empty inbox that is about to be filled is followed by a ring.
  if (inbox_.load(std::memory_order_relaxed) == nullptr) return;
  // [inbox/2] acquire: pairs with [inbox/1].
  Operation* taken = inbox_.exchange(nullptr, std::memory_order_acquire);
  while (taken != nullptr) {
    Operation* const rest = taken->link;
    taken->link = nullptr;
    // Whoever cancelled it is still to ring this driver, with the lock held.
    static_cast<Direction*>(taken->slot)->lock.lock();
    static_cast<Direction*>(taken->slot)->lock.unlock();
    ended.Push(*taken);
    taken = rest;
  }
}

int EpollDriver::Deliver(OperationQueue& ended) noexcept {
  int delivered = 0;
  while (Operation* const op = ended.Pop()) {
    // relaxed: a count. Before complete(), after which neither the operation nor its driver may be there.
    static_cast<EpollDriver*>(op->driver)->in_flight_.fetch_sub(1, std::memory_order_relaxed);
    op->complete(*op);
    ++delivered;
  }
  return delivered;
}

// ---- The doorbell --------------------------------------------------------------------------------------------------

void EpollDriver::Ring() noexcept {
  // [doorbell/3] seq_cst: see [doorbell/1]. It also releases what was done before the ring: pairs with [doorbell/5].
  if (rung_.exchange(true, std::memory_order_seq_cst)) return;
  // [doorbell/4] seq_cst: see [doorbell/1].
  switch (where_.load(std::memory_order_seq_cst)) {
    case kPolling:
      backend_.RingPoller();
      break;
    case kParked:
      Unpark();
      break;
    default:
      break;
  }
}

void EpollDriver::Unpark() noexcept {
  uint32_t expected = kParked;
  // relaxed: the futex compares the word, and rung_ carries what has to be seen.
  if (where_.compare_exchange_strong(expected, kRunning, std::memory_order_relaxed)) FutexWake(where_, 1);
}

bool EpollDriver::TakeRing() noexcept {
  // relaxed: a ring that is missed here counts for the next Poll(), or is seen by [doorbell/2] before a wait.
  if (!rung_.load(std::memory_order_relaxed)) return false;
  // [doorbell/5] acquire: pairs with [doorbell/3]; what the ringer did before is visible after Poll().
  return rung_.exchange(false, std::memory_order_acquire);
}

}  // namespace weft::internal
