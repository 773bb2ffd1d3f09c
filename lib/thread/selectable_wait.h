// What does Select() ask of the things that it waits for?
//
// Each kind of wait that can be a case has one constant table. The thread that selects calls its functions, with the
// object that the SelectPart names. Of all cases of a Select(), in this order:
//
//   take_alone  without locks, before the thread waits: take and finish in one. It may miss what came a moment ago
//   take        under the lock: is it there? Then it is taken, and the Select() is over
//   finish      without locks: the rest of a take that has said kTaken
//   add         under the lock: `node` waits from here on
//   after_add   without locks
//   make_way    by whoever has cancelled the wait, perhaps under the records lock of the thread: those who stand behind
//               `node` wait for it no more. Its frame may stay for long, because its scopes drain
//   take_back   without locks, when the wait is over, whichever case has ended it: nobody may know `node` afterwards
//
// `lock` guards what is waited for, or `lock` and `second_lock` together. While a Select() adds its cases it holds the
// locks of all of them, taken in the order of their addresses. So nobody else may wait for one while holding another,
// except in that order, and under one only locks that are taken last.
#ifndef WEFT_LIB_THREAD_SELECTABLE_WAIT_H_
#define WEFT_LIB_THREAD_SELECTABLE_WAIT_H_

#include "weft/channel/wait_case.h"
#include "weft/internal/lock.h"
#include "weft/internal/wait_node.h"

namespace weft::internal {

// How an attempt has ended, and what is left to do when the lock is released: a value is moved, if `move` is not null,
// and the partner is woken, if there is one. Only a channel has a rest.
struct SelectTaken {
  bool taken = false;
  WaitNode* partner = nullptr;
  void* from = nullptr;
  void* to = nullptr;
  void (*move)(void* to, void* from) noexcept = nullptr;
};

template <class Thread>
struct SelectableWait {
  Lock* (*lock)(void* waited_for) noexcept;                                 // null: it needs none
  Lock* (*second_lock)(void* waited_for) noexcept = nullptr;                // null, or returns null: one is enough
  bool (*take_alone)(void* waited_for) noexcept = nullptr;                  // null: take() does it
  SelectTaken (*take)(void* waited_for) noexcept;
  void (*finish)(void* waited_for, const SelectTaken& taken) noexcept;      // null: nothing is left to do
  void (*add)(void* waited_for, WaitCase<Thread>& node) noexcept;
  void (*after_add)(void* waited_for, WaitCase<Thread>& node) noexcept;     // null: nothing
  void (*take_back)(void* waited_for, WaitCase<Thread>& node) noexcept;
  void (*make_way)(void* waited_for, WaitCase<Thread>& node) noexcept = nullptr;  // null: it is in nobody's way
};

}  // namespace weft::internal

#endif  // WEFT_LIB_THREAD_SELECTABLE_WAIT_H_
