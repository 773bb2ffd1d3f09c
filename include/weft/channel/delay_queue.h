// DelayQueue<T>: values that can be received when their time has come. (Java's DelayQueue.)
//
//   weft::DelayQueue<Retry> retries;
//   retries.Send(std::move(retry), absl::Seconds(5));                      // never waits
//   while (std::optional<Retry> due = co_await retries.Receive()) Start(*std::move(due));
//
// Members: Send(); Receive(), TryReceive(); Close(), IsClosed(), size().
//
// Any number of threads may send and receive. Values are received in the order of their times, and those of the same
// time in the order in which they were sent. None is received before its time; one may be received late, by a timer's
// tick (time.h). Receivers that wait are served in their order, and nobody overtakes one who waits.
//
// A value is received, or in the queue, or with its sender: a receiver that is cancelled takes none with it. Close()
// refuses further values. Those that are in the queue can still be received, each when its time has come; then
// receivers find nothing. The destructor destroys what is left.
//
// T is an object that can be moved. It needs no default constructor, and no copy. Its move, from a sender, runs under a
// lock of the queue, and must not use the queue. If it throws, the value is not sent.
//
// In a simulation its time is the virtual one. All threads that use one queue must have the same clock: those of one
// simulation, or any others.
//
// Lifetime: the queue must outlive the calls to it. It is a CHECK to destroy it while a thread waits.
// Memory ordering: what came before a Send() happens before what follows the Receive() that gets its value; what came
// before a Close() happens before what follows a call that sees it.
// Cancellation: Receive() is a checkpoint. A value that was received is delivered.
// Signal handlers must not call it; event.h says what to do instead.
// Cost: one allocation for each value, in Send(), which throws std::bad_alloc without memory; then the value stays with
// its sender. O(log size) under a short lock to send and to receive. A receiver has two frames from the cache; the
// first that waits for a time has two more, and a timer. Waking allocates nothing.
//
// A Receive() is no case of a Select(): fork a thread that passes the values on into a Channel.
#ifndef WEFT_CHANNEL_DELAY_QUEUE_H_
#define WEFT_CHANNEL_DELAY_QUEUE_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/sync/event.h"
#include "weft/sync/mutex.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft {

namespace internal {

// A value in a queue, without its type: a node of a leftist heap (Crane, 1972), whose root is the next one to be
// received. Nothing is allocated to put it in or to take it out.
struct DelayedNode {
  int64_t due_ns = 0;
  uint64_t number = 0;  // in the order of Send()
  DelayedNode* left = nullptr;
  DelayedNode* right = nullptr;
  int rank = 1;  // the length of the path to the right
};

// The part that does not know of T.
class DelayQueueCore {
 public:
  DelayQueueCore() = default;
  DelayQueueCore(const DelayQueueCore&) = delete;
  DelayQueueCore& operator=(const DelayQueueCore&) = delete;
  ~DelayQueueCore();  // a CHECK if a thread waits; the caller has taken all out

  // Calls fill(node, value) under the lock, and puts the node in. False: it is closed, and `fill` was not called.
  bool Send(DelayedNode& node, absl::Duration delay, void (*fill)(DelayedNode& node, void* value), void* value);
  // The next one whose time has come; null: it is closed, and has been drained.
  Task<DelayedNode*> Receive(std::source_location where);
  // The same without waiting.
  DelayedNode* TryReceive() noexcept;
  bool Close() noexcept;
  bool IsClosed() noexcept;
  int64_t size() noexcept;
  // For the destructor: whatever its time. Null: it is empty.
  DelayedNode* TakeOut() noexcept;
  void CheckNobodyWaits() const noexcept;

 private:
  DelayedNode* PopLocked() noexcept;
  DelayedNode* TakeDue(int64_t& next_due_ns, bool& over) noexcept;

  Mutex turn_;                     // has who is next to receive: it waits for a time, or for a change
  Event changed_;                  // there is a new first value, or it is closed
  Atomic<uint64_t> first_{0};      // the thread that has the turn; 0: none. relaxed: it is only named
  Lock lock_;
  // ---- Guarded by lock_.
  DelayedNode* root_ = nullptr;
  uint64_t sent_ = 0;
  int64_t size_ = 0;
  bool closed_ = false;
};

}  // namespace internal

template <class T>
class DelayQueue {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                "the T of DelayQueue<T> is an object that can be moved");

 public:
  DelayQueue() = default;
  DelayQueue(const DelayQueue&) = delete;
  DelayQueue& operator=(const DelayQueue&) = delete;
  ~DelayQueue();  // a CHECK if a thread waits

  // Sends a value that can be received after `delay`; at once, if that is not positive. False: it is closed, and the
  // value is left as it was. Any thread may call it. Does not wait.
  bool Send(T&& value, TimeSpan delay);
  bool Send(const T& value, TimeSpan delay)
    requires std::is_copy_constructible_v<T>
  {
    return Send(T(value), delay);
  }

  // Waits for a value whose time has come. Empty if the queue is closed and has been drained.
  Task<std::optional<T>> Receive(std::source_location where = std::source_location::current()) {
    co_return TakeOut(co_await core_.Receive(where));
  }
  // The same without waiting: also empty if nothing is due, or while another call has the turn. Any thread may call it.
  std::optional<T> TryReceive() { return TakeOut(core_.TryReceive()); }

  // No value can be sent from here on. True: the queue was open; later calls change nothing. Any thread may call it.
  bool Close() noexcept { return core_.Close(); }
  bool IsClosed() noexcept { return core_.IsClosed(); }
  // How many values are in it, whether their time has come or not. The number may have changed by the time it is read.
  size_t size() noexcept { return static_cast<size_t>(core_.size()); }

 private:
  struct Node : internal::DelayedNode {
    std::optional<T> value;
  };
  static std::optional<T> TakeOut(internal::DelayedNode* taken) {
    const std::unique_ptr<Node> node(static_cast<Node*>(taken));
    if (node == nullptr) return std::nullopt;
    return std::move(node->value);
  }

  internal::DelayQueueCore core_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class T>
DelayQueue<T>::~DelayQueue() {
  core_.CheckNobodyWaits();
  while (internal::DelayedNode* const left = core_.TakeOut()) delete static_cast<Node*>(left);
}

template <class T>
bool DelayQueue<T>::Send(T&& value, TimeSpan delay) {
  auto node = std::make_unique<Node>();
  const auto fill = [](internal::DelayedNode& into, void* from) {
    static_cast<Node&>(into).value.emplace(std::move(*static_cast<T*>(from)));
  };
  if (!core_.Send(*node, delay, fill, std::addressof(value))) return false;
  static_cast<void>(node.release());
  return true;
}

}  // namespace weft

#endif  // WEFT_CHANNEL_DELAY_QUEUE_H_
