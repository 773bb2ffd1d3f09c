// Makes the calls of a scope's policy come one after another.
//
// A turn is held during each call, and taken before the scope's lock. A call that is made within one, by the hook
// itself, or by a destructor of what it lets go of, would wait for itself: a CHECK.
#ifndef WEFT_INTERNAL_POLICY_TURNS_H_
#define WEFT_INTERNAL_POLICY_TURNS_H_

#include "weft/internal/compiler.h"

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"

namespace weft::internal {

class PolicyTurns {
 public:
  PolicyTurns() = default;
  PolicyTurns(const PolicyTurns&) = delete;
  PolicyTurns& operator=(const PolicyTurns&) = delete;

  // Waits for the turns of others. `hook` is the name of what is called.
  void Enter(const char* hook);
  void Leave() noexcept;
  // CHECKs that the caller, which is about to do `what`, is not in a turn.
  void CheckOutside(const char* what) const;

  // The policy has said to shut the scope down. In a turn only.
  bool decided = false;

 private:
  Lock lock_;
  // The carrier that has the turn, or null. relaxed: each asks only whether it is itself.
  Atomic<const void*> caller_{nullptr};
  const char* hook_ = nullptr;  // guarded by lock_
};

// Held during each call of the policy.
class PolicyTurn {
 public:
  PolicyTurn(PolicyTurns& turns, const char* hook) : turns_(turns) { turns_.Enter(hook); }
  PolicyTurn(const PolicyTurn&) = delete;
  PolicyTurn& operator=(const PolicyTurn&) = delete;
  ~PolicyTurn() { turns_.Leave(); }

 private:
  PolicyTurns& turns_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_POLICY_TURNS_H_
