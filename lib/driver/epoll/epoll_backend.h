// Layer driver. How do all carriers of a runtime share one epoll descriptor?
//
// Every socket is registered once, edge-triggered, when an operation on it first has to wait, and for sending too when
// a send first has to: most connections never wait for that, and each of their edges would tell of it. There is no
// epoll_ctl per operation. Any driver may fetch any event, and completes the operation that it finds,
// wherever it was started. So a carrier that computes holds back nothing, as long as somebody looks.
//
// Who looks. At most one driver, the poller, sleeps in epoll_wait: kInKernel, as its doorbell says (doorbell.h). The
// others sleep on their own futex, kOnFutex, so that an event wakes one thread and a ring the right one. A driver takes
// a role before it sleeps, with `idle_lock_` held, under which it says so to its doorbell; and leaves it afterwards.
//
// The eventfd that ends the poller's wait is level-triggered, and read by the poller alone. Edge-triggered, a busy
// carrier's look at the events could fetch the only notice that the poller was to get. A ring for a poller that has
// left meanwhile costs the next one a turn; it cannot be taken from a later poller, which is rung only after it has
// taken the role.
//
// A driver that is aside (its carrier has retired) sleeps on its futex as well, but takes no role: an event that it
// fetched would have to go to another carrier at once. If there is no poller, it wakes one that is parked.
//
// Nobody is forgotten: any other driver parks on its futex only while there is a poller; the role falls vacant only
// when its holder leaves to run something, or goes aside. From then on the events wait for the next driver that polls,
// which is one of
//   1. the carrier that left, when it has nothing to run, or after 61 dispatches;
//   2. any other running carrier, likewise;
//   3. Relieve(), when the runtime notices a carrier that has not polled for long: it looks once, and if still nobody
//      holds the role, wakes one parked driver to take it;
//   4. on a driver's destruction, or when it sleeps aside, a parked driver that is woken to take the role;
//   5. a parked driver that always waits (its carrier has retired, and a thread is pinned to it): it is woken at once.
//
// Rejected: handing the role on to any other whenever the poller leaves. The waker pays 7 us for waking another core,
// which at low load doubles the cost of a request; Go does not do it either. Rejected: an epoll descriptor per carrier
// with the shared one nested in it. EPOLLEXCLUSIVE is refused for nested descriptors, so each event would wake every
// idle carrier. Rejected: sockets bound to a carrier's own epoll descriptor. It is simpler, but a carrier that computes
// holds back its sockets' events, and a socket does not follow a virtual thread that was stolen.
#ifndef WEFT_LIB_DRIVER_EPOLL_EPOLL_BACKEND_H_
#define WEFT_LIB_DRIVER_EPOLL_EPOLL_BACKEND_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/driver/driver.h"
#include "lib/driver/epoll/descriptor_table.h"
#include "lib/driver/event_fd.h"
#include "lib/driver/operation_queue.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class EpollDriver;

// It outlives its drivers.
class EpollBackend final : public Backend {
 public:
  static absl::StatusOr<std::shared_ptr<Backend>> Create();
  ~EpollBackend() override;

  std::string_view name() const noexcept override { return "epoll"; }
  absl::StatusOr<std::unique_ptr<Driver>> NewDriver() noexcept override;
  void CancelPending(int fd, PendingOperations& pending) noexcept override;
  void Forget(int fd) noexcept override;

  // The record of `fd`, or null: no edge of it has come yet.
  Descriptor* Find(int fd) noexcept { return table_.Find(fd); }

  // The record of `fd`, watched for `flow`; or null and an errno.
  Descriptor* Watch(int fd, Flow flow, int& error) noexcept;

  // Fetches events and makes the operations that they concern end. `timeout_ns` other than 0 for the poller only.
  void Look(int64_t timeout_ns, OperationQueue& ended) noexcept;

  // The roles. True: `driver` is the poller; false: it is parked, or aside. Its doorbell knows.
  bool Enter(EpollDriver& driver) noexcept;
  void Leave(EpollDriver& driver) noexcept;
  // If nobody is the poller, wakes a parked driver, which then takes the role.
  void Promote() noexcept;

  // Ends the poller's wait. Async-signal-safe.
  void WakePoller() noexcept { wake_.Signal(); }

 private:
  EpollBackend() noexcept = default;

  int Wait(void* events, int max, int64_t timeout_ns) noexcept;
  void PromoteLocked() noexcept;
  void WakeOneThatAlwaysWaits() noexcept;  // idle_lock_; if there is one, and no poller

  int epoll_ = -1;
  EventFd wake_;
  // Until it fails: an old kernel has none, and a container may forbid it. relaxed: a hint, which ends in the same
  // place whatever is read.
  Atomic<bool> has_pwait2_{true};
  DescriptorTable table_;

  Lock idle_lock_;
  EpollDriver* poller_ = nullptr;        // idle_lock_
  EpollDriver* first_parked_ = nullptr;  // idle_lock_; through next_parked_ and previous_parked_, newest first
  int parked_always_ = 0;                // idle_lock_: those in the list that always wait
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_EPOLL_EPOLL_BACKEND_H_
