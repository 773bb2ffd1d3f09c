// Layer runtime. What happens to runtimes in a child of fork(2)?
//
// The child has the memory of its parent and only one of its threads, so a runtime that lives on OS threads exists
// there and does not run. Its use is a CHECK, where otherwise a thread would wait for ever, or use a ring or an epoll
// descriptor that belongs to the parent as well. Global data, which a runtime that is started in the child may use, is
// guarded by GlobalLocks (lib/os/global_lock.h).
#ifndef WEFT_LIB_RUNTIME_FORK_H_
#define WEFT_LIB_RUNTIME_FORK_H_

namespace weft::internal {

// From now on a child of fork(2) sets the runtimes of its parent aside, and refuses what their threads would do.
void RegisterForkHandler() noexcept;

}  // namespace weft::internal

#endif  // WEFT_LIB_RUNTIME_FORK_H_
