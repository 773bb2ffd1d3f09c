// How a carrier waits for the kernel.
//
// A Driver belongs to one carrier: it starts operations, reaps their completions, and is where the carrier parks when it
// has nothing to run. A Backend makes the drivers of one runtime, all of one kind (io_uring or epoll). The runtime knows
// these two interfaces only; lib/io/backend.h makes one, and the implementations are below it.
//
// An Operation is one request to the kernel, embedded in the awaiter that waits for it. It is bound to the driver it was
// started on, not to its descriptor and not to the virtual thread, which may resume on any carrier. From Start() until
// complete() the kernel may own the operation and its buffer; nobody destroys either.
//
// The promise that the rest of Weft is built on: a started operation ends exactly once. Either Start() returns true and
// the result is there, or complete() is called once, later, from Poll(). Cancelling is a request: the operation still ends
// once, with its true result if that came first (bytes read and descriptors accepted are never lost), else -ECANCELED.
//
// Nobody closes a descriptor under an operation: the kernel gives its number out anew, and on io_uring the old socket lives
// on until the operation has ended. Whoever wants to close it says so in its PendingOperations, lets Backend::CancelPending()
// end them, and closes it after the last one. (weft/internal/open_descriptor.h)
#ifndef WEFT_INTERNAL_DRIVER_H_
#define WEFT_INTERNAL_DRIVER_H_

#include "weft/internal/compiler.h"

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/internal/atomic.h"
#include "weft/internal/list.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class Driver;
struct Operation;

struct PendingTag;

// The operations that are pending on one descriptor, for whoever closes it. It outlives them.
struct PendingOperations {
  Lock lock;
  // Set before Backend::CancelPending(). A driver looks at it under the lock under which CancelPending() will find the
  // operation, so either that finds it, or it is not begun: -EBADF.
  Atomic<bool> closed{false};
  List<Operation, PendingTag> operations;  // guarded by lock; kept by io_uring, which has no other list of them
};

struct Operation : ListNode<PendingTag> {
  enum class Code : uint8_t { kReceive, kSend, kAccept, kConnect };

  // What to do; written before Start(), read-only after it.
  Code code = Code::kReceive;
  int fd = -1;                            // in non-blocking mode for kAccept and kConnect
  void* buffer = nullptr;                 // kReceive, kSend (which only reads it)
  size_t length = 0;                      // kReceive, kSend; bytes
  sockaddr* address = nullptr;            // kAccept (output, may be null), kConnect (input)
  socklen_t* address_length = nullptr;    // kAccept (in/out, may be null), kConnect (input)
  PendingOperations* pending = nullptr;   // of the descriptor; null: it stays open until the operation has ended
  // Called once, when an operation that Start() left pending has ended: from a Poll() or Relieve() of any driver of the
  // backend, on the thread that makes it. That may be another thread than Start()'s, and so before Start() has returned: the
  // caller of Start() touches the operation no more unless the answer was true. The operation may be destroyed before
  // complete() returns. Must not block.
  void (*complete)(Operation&) noexcept = nullptr;

  // The outcome: bytes (0 is the end of the stream), the accepted descriptor (non-blocking, close-on-exec), 0 of a connect,
  // or -errno. Valid once ended.
  int32_t result = 0;
  // -ECANCELED and a RequestCancel() or CancelPending() was made. An unasked -ECANCELED is started again by the driver, never shown.
  bool cancelled = false;

  // The driver's own from here on.
  Driver* driver = nullptr;               // set by Start()
  Atomic<uint8_t> state{0};
  Operation* next = nullptr;              // in the queue or list of the driver that holds it
  Operation* link = nullptr;              // io_uring: next in the inbox of cancellations; epoll: the waiter before
  void* slot = nullptr;                   // epoll: the queue it waits in; io_uring: set while a connect is followed by a poll
};

// A receive or a send of no bytes: it ends at once, with 0, whatever the state of its socket. (The kernel's receive would wait
// for data.)
inline bool MovesNothing(const Operation& op) noexcept {
  return op.length == 0 && (op.code == Operation::Code::kReceive || op.code == Operation::Code::kSend);
}

class Driver {
 public:
  static constexpr int64_t kNoTimeout = INT64_MAX;

  virtual ~Driver() = default;

  // Owner. Starts `op`; true if it has ended already (its result is set and complete() will not be called). Never fails: an
  // error is a result. A full submission queue is the driver's own problem, not the caller's.
  virtual bool Start(Operation& op) noexcept = 0;

  // Any OS thread, after Start() returned false. The caller guarantees that `op` is not destroyed while this call runs (even
  // though complete() may be called meanwhile), nor the driver. complete() will come soon. Idempotent.
  virtual void RequestCancel(Operation& op) noexcept = 0;

  // Owner. Delivers what has ended; if nothing has and nobody rang, waits for a completion, a Ring(), or `timeout_ns` from
  // now (0: do not wait; kNoTimeout: without limit). Returns how many complete() calls were made. A signal is not an end.
  virtual int Poll(int64_t timeout_ns) noexcept = 0;

  // Any OS thread; async-signal-safe. Makes the current Poll(), or else the next one, return without waiting. Sticky: rings
  // before a Poll() are not lost; many rings are one. What was done before a Ring() happens before the return of the Poll()
  // that it ends. The driver is not destroyed meanwhile.
  virtual void Ring() noexcept = 0;

  // Any OS thread, while the owner computes and so does not Poll(): hands to the kernel what the owner has started and
  // delivers what has ended, without waiting. Returns how many complete() calls were made, on the caller's OS thread; 0 also
  // if the owner is at it. The driver is not destroyed meanwhile.
  virtual int Relieve() noexcept { return 0; }

  // Operations that Start() left pending and that have not ended.
  virtual int64_t in_flight() const noexcept = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const noexcept = 0;  // "io_uring", "epoll"

  // Called on the OS thread of the carrier that will own the driver, and destroyed there, with nothing in flight.
  virtual absl::StatusOr<std::unique_ptr<Driver>> NewDriver() noexcept = 0;

  // Any OS thread: `pending.closed` is set, for the descriptor `fd`, which stays open until the last of its operations has
  // ended. As RequestCancel() for each of them.
  virtual void CancelPending(int fd, PendingOperations& pending) noexcept = 0;

  // Any OS thread: `fd` is about to be closed and no operation on it is pending. An inherited backend does nothing.
  virtual void Forget(int fd) noexcept = 0;

  // In a child of fork(2): is this the parent's? What it has in the kernel is shared with that, and left alone.
  bool inherited() const noexcept { return inherited_; }
  void BecomeInherited() noexcept { inherited_ = true; }

 private:
  bool inherited_ = false;  // written in the child while it has one thread
};

enum class IoBackend : uint8_t { kAuto, kUring, kEpoll };

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DRIVER_H_
