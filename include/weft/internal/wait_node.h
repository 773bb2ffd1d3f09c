// A place in a queue of waiters, and such a queue. How threads stand in one, for one thing or for several at once, is
// in lib/thread/wait_node.h.
#ifndef WEFT_INTERNAL_WAIT_NODE_H_
#define WEFT_INTERNAL_WAIT_NODE_H_

#include "weft/internal/compiler.h"

#include <cstdint>

#include "weft/internal/list.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class ThreadBlock;

struct QueueTag;  // the run queue, or a queue of waiters: a node is in one at most

// A thread, or a case. Its own state is one byte after the links, so that a derived class can put its members right
// behind.
struct WaitNode : ListNode<QueueTag> {
  enum class State : uint8_t {
    kThread,         // a thread; if it waits, it is queued
    kGrantedThread,  // a thread that was granted what it waited for last, or waits to be woken for it
    kCase,           // a WaitCase
    kOsThread,       // an OS thread in a ...Blocking() (channel/channel_state.h)
  };

  explicit WaitNode(State initial = State::kThread) noexcept : wait_state(initial) {}

  State wait_state;  // guarded by the lock of the queue
};

using WaitNodes = List<WaitNode, QueueTag>;

template <class Thread>
struct WaitCase;
template <class Thread>
struct SelectableWait;

// A wait that Select() can make one of its cases. (channel/select_wait.h)
template <class Thread>
struct SelectPartOf {
  void* waited_for = nullptr;
  const SelectableWait<Thread>* how = nullptr;
};
using SelectPart = SelectPartOf<ThreadBlock>;

// What is waited for has one of these. All functions are called under its lock, except where it says otherwise.
template <class Thread>
struct WaitQueue {
  Lock lock;
  WaitNodes nodes;  // guarded by lock; a case whose wait is over may still be among them

  static Thread& ThreadOf(WaitNode& node) noexcept;
  void Add(Thread& self) noexcept;
  void Add(WaitCase<Thread>& a_case) noexcept;
  WaitNode* Grant() noexcept;
  void GrantAll(WaitNodes& granted) noexcept;
  bool WithdrawLocked(Thread& thread) noexcept;
  bool TakeBack(WaitCase<Thread>& a_case) noexcept;  // takes the lock
  static bool Claim(WaitNode& node) noexcept;
};

// Of control blocks. (lib/sync/waiters.h)
struct Waiters : WaitQueue<ThreadBlock> {
  static inline bool Withdraw(ThreadBlock& thread) noexcept;
  inline ThreadBlock* GrantThread() noexcept;
  static inline void WakeAll(WaitNodes& granted) noexcept;
  inline const ThreadBlock& First() noexcept;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_WAIT_NODE_H_
