// The matrix of ways out of scopes with live children: what varies, and the one body that runs all of it.
//
// A case says where it runs, by which way the owner leaves, and what the children do. Each case is run for every nest
// of scopes: one; two and three in one chain of frames; two and three of which each is opened by a child of the one
// around it, which is cancelled with it, or is shielded and leaves by itself. Two children in each scope.
#ifndef WEFT_TESTS_SCOPE_SCOPE_EXIT_MATRIX_H_
#define WEFT_TESTS_SCOPE_SCOPE_EXIT_MATRIX_H_

#include <cstdint>
#include <ostream>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/on_both.h"
#include "weft/task.h"

namespace weft::testing {

class ExitRun;

// What the children are doing when the owner leaves.
enum class Doing : uint8_t {
  kReading,  // parked in a read from a TCP connection on which nothing comes
  kReadingOnEpoll,
  kAccepting,  // parked in an accept on a listener to which nobody connects
  kAcceptingOnEpoll,
  kSleepingLong,  // for an hour
  kSleepingForever,
  kLocking,            // a mutex that the owner of the scope holds until after the scope
  kLockingHandedOver,  // ... until just before the end of the scope, so that one child gets it on the way out
  kAcquiring,          // the permit of a semaphore, likewise until after the scope
  kWaitingForEvent,
  kJoining,         // a scope of their own, with two children that wait
  kAwaitingAll,     // two branches that wait
  kYielding,        // for ever
  kNotStarted,      // forked, never mounted
  kWaitingForTurn,  // beyond max_concurrency, never started
  kRoaming,         // yielding for ever, after a theft has brought them to another carrier than their owner's
  kComputing,       // on another carrier than their owner's, until asked
};

// How an owner leaves.
struct Way {
  const char* name;
  // Called by each owner when all children are there: comes back, or throws. Null: the owner waits to be asked to end.
  void (*leave)();
  // Awaits EnterScopes(run), and comes back when that is over.
  Task<void> (*around)(ExitRun& run);
  // It is a timer that asks.
  bool timed = false;
};

extern const Way kByReturn;
extern const Way kByTimeout;   // unwound by a WithTimeout() around the scopes
extern const Way kByShutdown;  // unwound by the shutdown of the scope that the owner is a child of

// For what is around them: the scopes, and all that goes on in them.
Task<void> EnterScopes(ExitRun& run);

struct Exit {
  Place place;
  const Way* way;
};
struct ExitCase {
  Exit exit;
  Doing doing;
};
std::ostream& operator<<(std::ostream& out, const Exit& exit);
std::ostream& operator<<(std::ostream& out, const ExitCase& one);

// On one, two and three simulated carriers, and one, two and four real ones. Some doings need a second carrier, or real
// ones.
std::vector<Exit> Exits(const std::vector<const Way*>& ways);
std::vector<ExitCase> ExitCases(const std::vector<const Way*>& ways);

// ---- The tests. Each run ends, and nothing is left of its tree.

// In every nest. In a simulation, the way out takes as many dispatches as it may, and no more.
void LeaveInEveryNest(const ExitCase& one);

// In every nest, where a shielded child of the innermost scope holds up the way out: it goes on when a stranger, a
// thread outside of all these scopes, has had its turns since that child was asked to end.
void LeaveWhileAStrangerRuns(const Exit& exit);

// One scope with `children`. In a simulation, as LeaveInEveryNest().
void LeaveMany(const Exit& exit, int children);

class ScopeExitMatrixTest : public ::testing::TestWithParam<ExitCase> {};
class ScopeExitWaysTest : public ::testing::TestWithParam<Exit> {};

}  // namespace weft::testing

#endif  // WEFT_TESTS_SCOPE_SCOPE_EXIT_MATRIX_H_
