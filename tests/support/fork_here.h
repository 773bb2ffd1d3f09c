// Forks a child that begins on the carrier of its owner.
//
//   const Pin pin;
//   co_await testing::ForkHere(scope, [&]() -> Task<void> { ... });
#ifndef WEFT_TESTS_SUPPORT_FORK_HERE_H_
#define WEFT_TESTS_SUPPORT_FORK_HERE_H_

#include "weft/scope.h"
#include "weft/sync/event.h"
#include "weft/task.h"
#include "weft/virtual_thread.h"

namespace weft::testing {

// The caller is pinned. A thief may take a child before it begins: that one ends, and another is forked. Ends when one
// has begun; `body`, which must be copyable, is what that child does.
template <class Body>
Task<void> ForkHere(AwaitAll& scope, Body body) {
  const int here = VirtualThread::Current().carrier();
  for (bool is_here = false; !is_here;) {
    Event begun;
    scope.Fork([&is_here, &begun, here, body]() -> Task<void> {
      const bool begins_here = VirtualThread::Current().carrier() == here;
      is_here = begins_here;
      begun.Set();  // what is referred to may be gone from here on
      if (begins_here) co_await body();
    });
    co_await begun.Wait();
  }
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_SUPPORT_FORK_HERE_H_
