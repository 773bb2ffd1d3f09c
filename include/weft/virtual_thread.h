// VirtualThread: a handle to a virtual thread: its id, its name, its state, and its end.
//
//   std::cout << weft::VirtualThread::Current();   // VirtualThread[#25,loader]/runnable@carrier-3
//   weft::VirtualThread heartbeat = weft::VirtualThread::Start([] { return Heartbeat(); });
//   heartbeat.RequestCancel("no longer wanted");
//   absl::Status ended = co_await heartbeat.Join();
//
// A virtual thread is a root coroutine and whatever that awaits. A scope's Fork() (scope.h), All() (all.h), Run()
// (runtime.h), or Start() (thread_builder.h) starts it. It is mounted on one carrier after another.
//
// Copying a handle copies the reference. A handle may outlive the thread; it then keeps only the id, the name, and of
// one that Start() has started how it has ended. Any OS thread may call the members, except where they say otherwise.
// The state of another thread may have changed by the time it is read.
//
// Memory ordering: what a thread did happens before a Join() of it returns, and before IsAlive() returns false.
// Cancellation: Join() and Park() are checkpoints. A join that the thread's end has ended, or a park that has taken a
// permit, is not cancelled.
// Cost. The first handle to a thread allocates a small record, which all later handles share; a thread that Start() has
// started has it in its control block. An id alone costs nothing. The end of a thread is O(threads that join it).
#ifndef WEFT_VIRTUAL_THREAD_H_
#define WEFT_VIRTUAL_THREAD_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstdint>
#include <ostream>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "weft/cancel_reason.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft {

namespace internal {
class JoinAwaiter;
class ParkAwaiter;
class UnscopedThread;
}  // namespace internal

class VirtualThread {
 public:
  enum class State : uint8_t {  // Java's
    kNew,           // not started yet
    kRunnable,      // running, or in a queue for a carrier
    kBlocked,       // parked until it gets a lock
    kWaiting,       // parked until another thread wakes it
    kTimedWaiting,  // parked until a time
    kTerminated,
  };
  // The same, as the runtime sees it: for dumps.
  enum class PreciseState : uint8_t {
    kNew,
    kStarted,          // started, and has not run yet
    kRunning,          // mounted on a carrier
    kQueued,           // has run, and is in a queue for a carrier
    kAwaitsChildren,   // until the last of them has ended
    kBlocked,
    kParked,
    kTimedParked,
    kCancelling,       // a request takes it out of its wait just now
    kTerminated,
  };

  // Starts a thread outside every scope, unnamed: a daemon of its runtime. (thread_builder.h has both)
  class Builder;
  template <class Forked>
  static auto Start(Forked&& forked);  // include "weft/thread_builder.h"

  // The virtual thread that calls. Outside of virtual threads it is a CHECK.
  static VirtualThread Current();
  // False on an OS thread that runs no virtual thread, and within callbacks of the runtime.
  static bool HasCurrent() noexcept { return internal::CurrentThread() != nullptr; }

  VirtualThread(const VirtualThread& other) noexcept : identity_(other.identity_) { identity_->AddRef(); }
  VirtualThread& operator=(VirtualThread other) noexcept {
    std::swap(identity_, other.identity_);
    return *this;
  }
  ~VirtualThread() { identity_->Release(); }

  uint64_t id() const noexcept { return identity_->id; }  // unique in its runtime, never reused, from 1
  // Empty if it has none. Valid as long as the handle.
  std::string_view name() const noexcept { return identity_->name; }
  State state() const noexcept;
  PreciseState precise_state() const noexcept;
  // The wait that the thread is parked in, like "Event::Wait"; empty if it is not.
  std::string_view waits_in() const noexcept;
  // The index of the carrier that it is mounted on, or -1.
  int carrier() const noexcept;

  // Starts a thread that was made and not started (Builder::Unstarted(), ThreadFactory::New()). Once: a second Start()
  // is a CHECK. If the runtime has ended meanwhile, so has the thread, and this does nothing.
  // (thread_builder.cc)
  void Start() const;
  // Started, and not ended.
  bool IsAlive() const noexcept { return !identity_->unstarted() && !identity_->ended(); }

  // Waits until the thread has ended; of a thread that was not started, until it was, and has ended. Any number of
  // threads may join, also after the end. A thread that joins itself is a CHECK. Yields how a thread that Start() has
  // started has ended: OK, its failure, or kCancelled with the reason; a result is dropped. A thread of a scope, or of
  // a Run(), gives its failure to that: then Join() yields OK. Its end is known here, and to IsAlive(), before its
  // scope has counted it: a join of the scope may still wait for a moment, and status() of its Subtask, if it was
  // cancelled, may not say why yet. co_await it. (join.cc)
  internal::JoinAwaiter Join() const noexcept;
  // The same for an OS thread, which it blocks. On a carrier it is a CHECK.
  absl::Status JoinBlocking() const;

  // Asks the thread to end, at its next checkpoint. Does not wait. Idempotent; does nothing if the thread has ended. If
  // it has not been started, it will never run. `why` is for the CancelReason. Of a thread of a scope it is a CHECK:
  // its scope can be shut down, and one subtask alone be forked in a WithStopToken().
  void RequestCancel(Literal why = "", std::source_location where = std::source_location::current()) const;

  // Waits until the current thread has a permit, and takes it, like Java's LockSupport. Unpark() gives it, before or
  // after. A thread has one at most. Park() returns for no other reason. co_await it, perhaps inside MoveOnAfter(): a
  // park that is cancelled leaves the permit. Without memory for what handles share, the first Park() throws
  // std::bad_alloc.
  static internal::ParkAwaiter Park() noexcept;
  // Gives the thread its permit. Any OS thread may call it. What came before any Unpark() happens before what follows
  // the Park() that takes the permit.
  void Unpark() const noexcept;

  // "VirtualThread[#25,name]/runnable@carrier-3"; without a name "VirtualThread[#25]/waiting". One line: a control
  // character of the name is printed as \x0a.
  std::string ToString() const;

  friend bool operator==(const VirtualThread& a, const VirtualThread& b) noexcept { return a.identity_ == b.identity_; }
  friend std::ostream& operator<<(std::ostream& out, const VirtualThread& thread) { return out << thread.ToString(); }

 private:
  friend class internal::UnscopedThread;
  enum Adopted { kAdopted };
  explicit VirtualThread(internal::ThreadIdentity& identity) noexcept : identity_(&identity) { identity_->AddRef(); }
  VirtualThread(internal::ThreadIdentity& identity, Adopted) noexcept : identity_(&identity) {}

  internal::ThreadIdentity* identity_;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

class [[nodiscard("co_await the join")]] JoinAwaiter : public GivesWhenAwaited<absl::Status> {
 public:
  using WeftAwaitable = void;

  explicit JoinAwaiter(ThreadIdentity& joined) noexcept : joined_(&joined) { joined_->AddRef(); }
  JoinAwaiter(JoinAwaiter&& other) noexcept : JoinAwaiter(*other.joined_) {}  // before it is awaited
  ~JoinAwaiter() { joined_->Release(); }

  bool await_ready() const noexcept { return AtCheckpoint() && joined_->ended(); }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) const noexcept {
    return Suspend({frame.promise(), where});
  }
  absl::Status await_resume() const { return joined_->Outcome(); }
  SelectPart ForSelect() const noexcept;

 private:
  bool Suspend(AwaitingFrame frame) const noexcept;
  void CheckOther() const noexcept;
  static const WaitKind kWait;
  static const SelectableWait<ThreadBlock> kSelect;

  ThreadIdentity* const joined_;
};

class [[nodiscard("co_await the park")]] ParkAwaiter {
 public:
  using WeftAwaitable = void;

  bool await_ready() const noexcept { return AtCheckpoint() && TakePermit(); }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) const {
    return Suspend({frame.promise(), where});
  }
  void await_resume() const noexcept {}

 private:
  static bool TakePermit() noexcept;
  static bool Suspend(AwaitingFrame frame);
  static const WaitKind kWait;
};

}  // namespace internal

inline internal::ParkAwaiter VirtualThread::Park() noexcept { return {}; }
inline internal::JoinAwaiter VirtualThread::Join() const noexcept { return internal::JoinAwaiter(*identity_); }

}  // namespace weft

#endif  // WEFT_VIRTUAL_THREAD_H_
