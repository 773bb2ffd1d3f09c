// How do virtual threads stand in a queue: for one thing, or for several at once?
//
//   struct Waiters : WaitQueue<ThreadBlock> {...};      // what is waited for: a lock, and those that wait (waiters.h)
//
// A queue holds nodes, first come, first served. A thread that waits for one thing is its own node: nothing is
// allocated, and its frame does not grow. A thread that waits for several things has one node for each of them, a
// WaitCase in the awaiting frame, and one WaitForSeveral for all: a word that says which case was granted.
//
// Each wait ends once.
//   One thing. A node that is in the queue has not been granted. Granting takes it out, and so does withdrawing, both
//     under the queue's lock. (Channels let a word of the wait decide: channel_state.h.)
//   Several. Whoever grants a case claims the wait under the lock of that case's queue; whoever cancels the thread
//     claims it without a lock. The word leaves kOpen once, so one of them wins. The others do nothing to the thread:
//     Grant() goes on to the next node, so what a queue has to give is not lost on a wait that is over.
//
// Who may touch a node. The queue, under its lock, as long as the node is linked. The thread takes back the cases that
// were not granted, each under its queue's lock, before their frame goes (TakeBack). A case that was granted is linked
// to a list of the granter's at most, until it wakes the thread.
//
// What is handed over travels by `slot`: the granter writes there after Grant() and before Wake(); the thread reads it
// when it has been woken. A wait for one thing keeps the address in its awaiter (ThreadBlock::waiting_on).
//
// A timed wait has two cases, one of which is a timer that claims when it fires. A condition is a queue that grants
// when it is notified.
//
// Memory ordering: what the granter did before Wake() happens before what the thread does after its wait. The claim
// itself orders nothing: the queue's lock and Wake() do.
//
// Cost: granting a node takes a test and a branch more than granting a bare thread.
//
// Rejected: a node in the frame for every wait, 40 bytes a parked thread; a lock for all cases of a wait in place of
// the word, which every granter would take inside its queue's. (Go's select has such a word: sudog.isSelect,
// g.selectDone.)
#ifndef WEFT_LIB_THREAD_WAIT_NODE_H_
#define WEFT_LIB_THREAD_WAIT_NODE_H_

#include <mutex>

#include "lib/base/list.h"
#include "weft/channel/wait_case.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

template <class Thread>
Thread& WaitQueue<Thread>::ThreadOf(WaitNode& node) noexcept {
  return node.wait_state == WaitNode::State::kCase ? static_cast<WaitCase<Thread>&>(node).wait.thread
                                                   : static_cast<Thread&>(node);
}

template <class Thread>
void WaitQueue<Thread>::Add(Thread& self) noexcept {
  self.wait_state = WaitNode::State::kThread;
  nodes.PushBack(&self);
}
template <class Thread>
void WaitQueue<Thread>::Add(WaitCase<Thread>& a_case) noexcept { nodes.PushBack(&a_case); }

// Takes out the first that still waits, or returns null. The caller wakes ThreadOf() it, without the lock.
template <class Thread>
WaitNode* WaitQueue<Thread>::Grant() noexcept {
  while (WaitNode* const node = nodes.PopFront()) {
    if (Claim(*node)) return node;
  }
  return nullptr;
}
// Takes out all that still wait, to the end of `granted`, in their order. The caller takes each out of there and
// wakes it.
template <class Thread>
void WaitQueue<Thread>::GrantAll(WaitNodes& granted) noexcept {
  while (WaitNode* const node = Grant()) granted.PushBack(node);
}

// The thread waits no more, if it does so for one thing. False: it has been granted, and its wake-up is under way.
template <class Thread>
bool WaitQueue<Thread>::WithdrawLocked(Thread& thread) noexcept {
  if (thread.wait_state == WaitNode::State::kGrantedThread) return false;
  WaitNodes::Remove(&thread);
  return true;
}
// By the thread, when its wait is over. False: it was taken out already. Takes the lock.
template <class Thread>
bool WaitQueue<Thread>::TakeBack(WaitCase<Thread>& a_case) noexcept {
  std::lock_guard guard(lock);
  if (!a_case.linked()) return false;
  WaitNodes::Remove(&a_case);
  return true;
}

template <class Thread>
bool WaitQueue<Thread>::Claim(WaitNode& node) noexcept {
  if (node.wait_state == WaitNode::State::kCase) {
    auto& a_case = static_cast<WaitCase<Thread>&>(node);
    return a_case.wait.Claim(a_case.number);
  }
  node.wait_state = WaitNode::State::kGrantedThread;
  return true;
}

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_WAIT_NODE_H_
