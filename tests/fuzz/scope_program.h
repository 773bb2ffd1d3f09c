// Programs of scopes, read from bytes: a tree of steps, each of which runs once at most. (scope_program_fuzz.cc runs
// them.)
//
// A program ends by itself, whatever the interleaving. It has few steps and no loops. Whatever waits for another thread
// does so for some milliseconds at most, except joins, which wait for threads further down in the tree.
#ifndef WEFT_TESTS_FUZZ_SCOPE_PROGRAM_H_
#define WEFT_TESTS_FUZZ_SCOPE_PROGRAM_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace weft::testing {

enum class FuzzedPolicy : uint8_t {
  kAwaitAll,
  kShutdownOnFailure,
  kShutdownOnSuccess,
  kAllSuccessful,
  kAllUntil,  // `number` subtasks have completed
  kAsCompleted,
  kSupervisor,
};

struct Step {
  enum class Kind : uint8_t {
    kEnd,  // of a body; in no program
    kAdd,  // `number` to what the body yields
    kSleep,
    kYield,
    kFail,   // ends the body
    kThrow,  // the same, if there are exceptions
    kScope,
    kFork,      // the body, into the scope that is `number` further out
    kDaemon,    // the body, into the innermost scope; by its owner
    kJoin,      // the innermost scope; by its owner
    kJoinFor,   // the same, for `number` ms
    kNext,      // the same: NextCompleted()
    kShutdown,  // the scope that is `number` further out
    kWithTimeout,
    kCatchCancelled,
    kStopEvent,  // WithStopEvent() of event `number`
    kShield,
    kGraceShield,
    kSet,        // event `number`
    kWait,       // for event `number`, or for 3 ms
    kSend,       // to channel `number`, or for 3 ms
    kReceive,    // the same
    kRequested,  // asks CancelRequested()
  };

  Kind kind = Kind::kEnd;
  int id = 0;  // unique in a program
  int number = 0;
  bool flag = false;      // what it yields, if that is a failure, ends the body; a fork keeps its handle
  bool closure = false;   // of a fork: by a closure; of a scope whose body fails: it is closed
  bool shielded = false;  // of a fork
  std::vector<Step> body = {};

  // Of a scope.
  FuzzedPolicy policy = FuzzedPolicy::kAwaitAll;
  int limit = 0;       // max_concurrency, if it is not 0
  int timeout_ms = 0;  // if it is not 0
  enum class Ending : uint8_t { kJoin, kClose, kLeave } ending = Ending::kJoin;
};
using Body = std::vector<Step>;

struct ScopeProgram {
  static constexpr int kChannels = 3;  // a rendezvous, one that keeps a value, an unbounded one
  static constexpr int kEvents = 2;

  explicit ScopeProgram(FuzzInput input);
  std::string ToString() const;

  int carriers = 1;
  uint64_t seed = 1;
  Body main;
};

// What a body may yield, if it comes to its end: sums, or the ids of steps that fail.
struct Possible {
  std::set<int> values;
  bool any_value = false;
  std::set<int> failures;  // returned
  std::set<int> throws = {};
};

// What a program may yield by its sequential meaning. Nothing is known of programs in which times, or the order of two
// threads, decide.
std::optional<Possible> PossibleOf(const ScopeProgram& program);

}  // namespace weft::testing

#endif  // WEFT_TESTS_FUZZ_SCOPE_PROGRAM_H_
