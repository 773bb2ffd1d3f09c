// The wanted locks and the drains of the process. (Their classes stand apart because the memory-model checker, which
// runs them, knows nothing of fork(2).)
#include "lib/cancel/drain.h"
#include "lib/os/global_lock.h"
#include "weft/internal/lock.h"

namespace weft::internal {
namespace {

// A global object with a lock in each of its stripes. A child of fork(2) finds them free.
template <class Striped>
class Global : public Striped {
 public:
  Global() noexcept {
    this->ForEachLock([at = fork_locks_](Lock& lock) mutable {
      at->lock = &lock;
      TakeOverFork(*at++);
    });
  }

 private:
  ForkLock fork_locks_[kDrainStripes] = {};
};

}  // namespace

// Never destroyed: threads may wait while the process ends.
WantedLocks& TheWantedLocks() noexcept {
  [[clang::no_destroy]] static Global<WantedLocks> wanted;
  return wanted;
}

Drains& TheDrains() noexcept {
  [[clang::no_destroy]] static Global<Drains> drains;
  return drains;
}

}  // namespace weft::internal
