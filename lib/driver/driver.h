// Layer driver. How does a carrier wait for the kernel?
//
// A Driver belongs to one carrier: it starts operations (weft/internal/operation.h), reaps their completions, and is
// where the carrier parks when it has nothing to run. A Backend makes the drivers of one runtime, all of one kind
// (io_uring or epoll). The runtime knows these two interfaces only; lib/driver/backend.h makes one, and the
// implementations are below it.
//
// The promise that the rest of Weft is built on: a started operation ends exactly once. Either Start() returns true and
// the result is there, or complete() is called once, later, from Poll(). Cancelling is a request: the operation still
// ends once, with its true result if that came first (bytes read and descriptors accepted are never lost), else
// -ECANCELED.
//
// Nobody closes a descriptor under an operation. (lib/driver/pending_operations.h)
#ifndef WEFT_LIB_DRIVER_DRIVER_H_
#define WEFT_LIB_DRIVER_DRIVER_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/internal/operation.h"

namespace weft::internal {

class Driver {
 public:
  static constexpr int64_t kNoTimeout = INT64_MAX;

  virtual ~Driver() = default;

  // Owner. Starts `op`; true if it has ended already (its result is set and complete() will not be called). Never
  // fails: an error is a result. A full submission queue is the driver's own problem, not the caller's.
  virtual bool Start(Operation& op) noexcept = 0;

  // Any OS thread, after Start() returned false. The caller guarantees that `op` is not destroyed while this call runs
  // (even though complete() may be called meanwhile), nor the driver. complete() will come soon. Idempotent.
  virtual void RequestCancel(Operation& op) noexcept = 0;

  // Owner. Delivers what has ended; if nothing has and nobody rang, waits for a completion, a Ring(), or `timeout_ns`
  // from now (0: do not wait; kNoTimeout: without limit). Returns how many complete() calls were made. A signal is not
  // an end.
  virtual int Poll(int64_t timeout_ns) noexcept = 0;

  // Any OS thread; async-signal-safe. Makes the current Poll(), or else the next one, return without waiting. Sticky:
  // rings before a Poll() are not lost; many rings are one. What was done before a Ring() happens before the return of
  // the Poll() that it ends. The driver is not destroyed meanwhile.
  virtual void Ring() noexcept = 0;

  // Any OS thread, while the owner computes and so does not Poll(): hands to the kernel what the owner has started and
  // delivers what has ended, without waiting. Returns how many complete() calls were made, on the caller's OS thread; 0
  // also if the owner is at it. The driver is not destroyed meanwhile.
  virtual int Relieve() noexcept { return 0; }

  // Operations that Start() left pending and that have not ended.
  virtual int64_t in_flight() const noexcept = 0;

  // Owner. Which of the drivers that share a backend waits for what ends, while the owner sleeps? One that is aside
  // leaves it to the others, because whatever ends would have to be handed on; what it has in flight still ends, as
  // long as one of them polls now and then. One that always waits takes over from each that goes to run something.
  enum class Waits : uint8_t { kInTurn, kAside, kAlways };
  void SetWaits(Waits waits) noexcept { waits_ = waits; }

 protected:
  Waits waits() const noexcept { return waits_; }

 private:
  Waits waits_ = Waits::kInTurn;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const noexcept = 0;  // "io_uring", "epoll"

  // Called on the OS thread of the carrier that will own the driver, and destroyed there, with nothing in flight.
  virtual absl::StatusOr<std::unique_ptr<Driver>> NewDriver() noexcept = 0;

  // Any OS thread: `pending.closed` is set, for the descriptor `fd`, which stays open until the last of its operations
  // has ended. Does what RequestCancel() does, for each of them.
  virtual void CancelPending(int fd, PendingOperations& pending) noexcept = 0;

  // Any OS thread: `fd` is about to be closed and no operation on it is pending. An inherited backend does nothing.
  virtual void Forget(int fd) noexcept = 0;

  // In a child of fork(2): is this the parent's? What it has in the kernel is shared with that, and left alone.
  bool inherited() const noexcept { return inherited_; }
  void BecomeInherited() noexcept { inherited_ = true; }

 private:
  bool inherited_ = false;  // written in the child while it has one thread
};

}  // namespace weft::internal

#endif  // WEFT_LIB_DRIVER_DRIVER_H_
