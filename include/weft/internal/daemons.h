// The daemons of a scope: children that serve the others. A join waits for the others, then ends the daemons and waits
// for them. Guarded by the scope's lock.
//
//   daemons    in the join count   left by
//   included   yes                 Exclude(): the owner is about to wait in a join
//   excluded   no                  Include(): the others have ended, or the owner has left its wait
//
// While they are excluded, the last of the other children brings the count to zero, as without daemons. A daemon that
// ends meanwhile puts itself back into the count, under the lock, when its result is gone. So the thread that finds
// nothing else left, and takes the lock, counts those that have not, and then no daemon touches the scope uncounted.
#ifndef WEFT_INTERNAL_DAEMONS_H_
#define WEFT_INTERNAL_DAEMONS_H_

#include "weft/internal/compiler.h"

#include <cstdint>

namespace weft::internal {

class JoinCount;

class Daemons {
 public:
  // Those that have not ended.
  int64_t running() const noexcept { return running_; }

  // One is about to start, and has been counted by the owner.
  void Started() noexcept { ++running_; }
  // One has ended, except for its last step, until which it counts.
  void Ended(JoinCount& children) noexcept;
  void Exclude(JoinCount& children) noexcept;
  // False: they are included already.
  bool Include(JoinCount& children) noexcept;

 private:
  int64_t running_ = 0;
  bool excluded_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_DAEMONS_H_
