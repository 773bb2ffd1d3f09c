#include "lib/driver/epoll/epoll_driver.h"

#include <cerrno>
#include <cstdint>
#include <mutex>

#include "lib/driver/pending_operations.h"
#include "lib/driver/plain_call.h"
#include "lib/driver/poll_deadline.h"
#include "lib/driver/request_facts.h"
#include "weft/internal/check.h"

namespace weft::internal {

EpollDriver::~EpollDriver() {
  WEFT_CHECK(in_flight() == 0) << "an epoll driver is destroyed with " << in_flight() << " operations in flight";
  // Parked drivers may have relied on this one to poll again.
  backend_.Promote();
}

// ---- Starting and cancelling ---------------------------------------------------------------------------------------

bool EpollDriver::Start(Operation& op) noexcept {
  if (Begin(op)) return true;
  const Flow flow = FactsOf(op.request.code).flow;

  Descriptor* const known = backend_.Find(op.request.fd);
  const uint32_t edges = known == nullptr ? 0 : known->Of(flow).Edges();
  const bool receives = op.request.code == IoRequest::Code::kReceive;
  if (known == nullptr || !receives || !known->emptied.At(edges)) {
    if (EndsByPlainCall(op)) {
      if (known != nullptr && Emptied::WasShort(op)) known->emptied.Note(edges);
      return true;
    }
  }
  Descriptor* descriptor = known;
  if (known == nullptr || !known->Watches(flow)) [[unlikely]] {
    int error = 0;
    descriptor = backend_.Watch(op.request.fd, flow, error);
    if (descriptor == nullptr) {
      op.result = -error;
      return true;
    }
  }

  Direction& direction = descriptor->Of(flow);
  std::lock_guard guard(direction.lock);
  if (direction.EndsAfterEdge(op, edges, EndsByPlainCall)) return true;
  // relaxed: with the lock held; see PendingOperations.
  if (op.pending != nullptr && op.pending->closed.load(std::memory_order_relaxed)) {
    op.result = -EBADF;
    return true;
  }
  op.slot = &direction;
  // relaxed: the lock orders it.
  op.state.store(kWaiting, std::memory_order_relaxed);
  CountPending();
  direction.Push(op);
  return false;  // from here on another thread may complete it
}

void EpollDriver::Wake(Descriptor& descriptor, Flow flow, OperationQueue& ended) noexcept {
  bool emptied = false;
  const uint32_t edges = descriptor.Of(flow).Wake(EndsByPlainCall, [&](Operation& op) {
    // relaxed: the lock orders it.
    op.state.store(kIdle, std::memory_order_relaxed);
    emptied |= Emptied::WasShort(op);
    ended.Push(op);
  });
  if (emptied) descriptor.emptied.Note(edges);
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
  driver.inbox_.Push(op);
  driver.Ring();
}

// ---- Polling -------------------------------------------------------------------------------------------------------

int EpollDriver::Poll(int64_t timeout_ns) noexcept {
  const bool rung = doorbell_.TakeRing();
  OperationQueue ended;
  TakeInbox(ended);
  if (timeout_ns > 0 && !rung && ended.empty()) {
    Wait(timeout_ns, ended);
    TakeInbox(ended);
  } else {
    backend_.Look(0, ended);
  }
  return Deliver(ended, [](Operation&) {});
}

void EpollDriver::Wait(int64_t timeout_ns, OperationQueue& ended) noexcept {
  PollDeadline deadline(timeout_ns);
  do {
    const bool poller = backend_.Enter(*this);
    if (doorbell_.MaySleep()) {
      if (poller) {
        backend_.Look(deadline.left_ns(), ended);
      } else {
        doorbell_.SleepOnFutex(deadline.deadline_ns());
      }
    }
    doorbell_.GetUp();
    backend_.Leave(*this);
  } while (!doorbell_.TakeRing() && ended.empty() && !deadline.Passed());
}

int EpollDriver::Relieve() noexcept {
  OperationQueue ended;
  TakeInbox(ended);
  backend_.Look(0, ended);
  backend_.Promote();
  return Deliver(ended, [](Operation&) {});
}

void EpollDriver::TakeInbox(OperationQueue& ended) noexcept {
  Operation* taken = inbox_.TakeAll();
  while (taken != nullptr) {
    Operation* const rest = taken->link;
    taken->link = nullptr;
    // The canceller may still be about to ring this driver, with the lock held.
    static_cast<Direction*>(taken->slot)->lock.lock();
    static_cast<Direction*>(taken->slot)->lock.unlock();
    ended.Push(*taken);
    taken = rest;
  }
}

void EpollDriver::Ring() noexcept {
  if (doorbell_.Ring()) backend_.WakePoller();
}

}  // namespace weft::internal
