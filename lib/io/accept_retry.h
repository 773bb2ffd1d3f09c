// Layer io. When does an Accept() that has failed try again?
//
//   AcceptRetry retry(/*waits=*/true);
//   for (;;) {
//     retry.BeginTry();
//     const int32_t result = co_await AcceptAwaiter(...);
//     if (result >= 0) ...
//     switch (retry.After(-result)) {
//       case AcceptRetry::Next::kTry: continue;
//       case AcceptRetry::Next::kPause: co_await retry.Pause(); continue;
//       case AcceptRetry::Next::kFail: ...
//     }
//   }
//
// accept(2) fails in three ways.
//  * The connection at the head of the queue is broken, or a firewall forbids it. The next one is another matter: try
//    at once. Not for ever, because a sandbox that forbids the call looks the same: from the kMaxBroken-th in a row on
//    it is treated as a shortage.
//  * Descriptors or memory are short. The connection stays in the queue, so the socket stays ready, and a try at once
//    would fail again: a server that does so burns a CPU, and one that gives up is gone after its first burst.
//  * Anything else is a mistake, or the end of the listener.
//
// How a shortage ends. Mostly the descriptors are our own, and one is free as soon as one of our sockets is closed:
// DescriptorFreed() wakes the threads that wait. Files, other libraries, other processes (ENFILE) and the kernel's
// memory do not tell us when they free something. For those, a pause ends by itself: after 5 ms at first, and then
// after twice the time of the last pause, up to 1 s. (The times are those of Go's net/http.)
//
// Why no wake-up is lost:
//   An Accept()                                        Whoever closes a descriptor
//   1. short_ += 1, when it first fails                1. close(2)
//   2. fence [short/2], pairs with [short/4]           2. fence [short/4], pairs with [short/2]
//   3. reads generation_, under the lock               3. if short_ is 0, done
//   4. accept(2)                                       4. ++generation_ and wakes all, under the lock
//   5. waits, unless generation_ has changed
// Either the closer sees that an Accept() is short, and changes the generation. If that comes after 3, the Accept()
// does not wait. If it comes before 3, it also comes before 4, which finds the descriptor. Or the closer sees no
// Accept(); then its close came before the fence at 2, and hence before 4.
//
// One descriptor wakes all that wait; those that come too late go on with their pause. As a rule there is one Accept()
// per listener.
//
// Rejected: a reserve descriptor that is closed to accept and drop the connection (libuv). It tells the client, but it
// needs the descriptor back, which another thread may take; and a client that waits in the backlog is served when the
// burst is over. Also rejected: a pause of a whole second each time (Tokio's axum and hyper). Here, our own close ends
// the pause at once.
#ifndef WEFT_LIB_IO_ACCEPT_RETRY_H_
#define WEFT_LIB_IO_ACCEPT_RETRY_H_

#include <coroutine>
#include <cstdint>
#include <source_location>

#include "lib/timer/timer_wheel.h"
#include "weft/internal/list.h"
#include "weft/internal/promise.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {

// Any thread: a descriptor has been closed, or a listener was told to stop while its Accept() may be in a pause.
void DescriptorFreed() noexcept;

struct PauseTag;

// Of one Accept(), in its frame.
class AcceptRetry {
 public:
  static constexpr int64_t kFirstPauseNs = 5'000'000;
  static constexpr int64_t kLongestPauseNs = 1'000'000'000;
  static constexpr int kMaxBroken = 64;

  enum class Next : uint8_t { kTry, kPause, kFail };

  class [[nodiscard]] PauseAwaiter;

  // `waits`: whether to wait for the end of a shortage; if not, it is kFail.
  explicit AcceptRetry(bool waits) noexcept : waits_(waits) {}
  AcceptRetry(const AcceptRetry&) = delete;
  AcceptRetry& operator=(const AcceptRetry&) = delete;
  ~AcceptRetry();

  // Before each try.
  void BeginTry() noexcept;
  // A try has failed with this errno.
  Next After(int error) noexcept;
  // After kPause. A checkpoint.
  PauseAwaiter Pause() noexcept;

 private:
  const bool waits_;
  bool short_ = false;  // it is counted
  int broken_ = 0;
  int64_t pause_ns_ = kFirstPauseNs;
  uint64_t generation_ = 0;
};

class AcceptRetry::PauseAwaiter : public ListNode<PauseTag> {
 public:
  using WeftAwaitable = void;

  PauseAwaiter(int64_t pause_ns, uint64_t generation) noexcept : pause_ns_(pause_ns), generation_(generation) {}
  PauseAwaiter(const PauseAwaiter&) = delete;
  PauseAwaiter& operator=(const PauseAwaiter&) = delete;
  // Returns when its timer, if it is firing, has fired.
  ~PauseAwaiter();

  bool await_ready() const noexcept {
    AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    Suspend({frame.promise(), where});
  }
  void await_resume() const noexcept {}

 private:
  friend void DescriptorFreed() noexcept;

  // kWaiting ends once, under the lock: by whoever then wakes the thread, or by its withdrawal.
  enum class State : uint8_t { kNotYet, kWaiting, kOver };

  void Suspend(AwaitingFrame frame) noexcept;
  static void Fire(TimerNode* node) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;
  static const WaitKind kWait;

  const int64_t pause_ns_;
  const uint64_t generation_;
  ThreadBlock* thread_ = nullptr;
  State state_ = State::kNotYet;  // guarded by the lock
  TimerNode timer_;
};

inline AcceptRetry::PauseAwaiter AcceptRetry::Pause() noexcept {
  const int64_t pause_ns = pause_ns_;
  pause_ns_ = pause_ns < kLongestPauseNs / 2 ? 2 * pause_ns : kLongestPauseNs;
  return PauseAwaiter(pause_ns, generation_);
}

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_ACCEPT_RETRY_H_
