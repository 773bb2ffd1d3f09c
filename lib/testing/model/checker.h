// Layer testing. Does this lock-free code hold under every interleaving and every reordering that C++20 allows?
//
//   class Publishing {                                   // made anew for every execution
//    public:
//     static constexpr int kThreads = 2;
//     void Thread(int index) {                           // what each thread does
//       if (index == 0) {
//         data_.Set(42);
//         ready_.store(true, WEFT_ORDER("ready/1", std::memory_order_release));
//       } else if (ready_.load(WEFT_ORDER("ready/2", std::memory_order_acquire))) {
//         model::Require(data_.Get() == 42, "who sees the flag sees the data");
//       }
//     }
//     void Finish() {}                                   // after all threads; sees everything
//    private:
//     Atomic<bool> ready_{false};
//     model::Cell<int> data_{0};
//   };
//   model::Result result = model::Explore<Publishing>({.preemptions = 2});
//   EXPECT_EQ(result.violation, "") << result.Report();
//
// `Explore` runs the program again and again, each time with other choices, until all executions within the bound have
// been seen, or `max_executions`, or one in which something is wrong. It chooses which thread takes the next step,
// which store a load reads, where a store goes in modification order (memory.h), which sleeper a futex wakes, and what
// the program asks for with `Choose(n)`; a choice in the constructor makes one exploration out of many small programs.
// The code under test is compiled with WEFT_MODEL, which turns `Atomic` and the fences into the checker's.
//
// A violation is: a `Require` that does not hold; a WEFT_CHECK that fails; a data race on a Cell, or on the beginning
// and end of an atomic's life; a deadlock, where every thread that has not ended sleeps (with `kMayEndWaiting = true`
// in the program, such an execution goes to Finish() instead); a loop without end. It comes with its trace, and with
// its schedule, which `Replay` runs again.
//
// A step is one operation on an atomic, a fence, or a futex call. A thread that could go on and does not is preempted;
// an execution has at most `preemptions` of these. Switches where a thread waits, relaxes or ends are free. A thread
// that spins (CpuRelax) is not run again before somebody has written to what it looks at.
//
// Two executions in which every thread has had the same results are in the same state, whatever the order of the steps;
// the search goes on from each state once (state_set.h). An execution that is left for this counts as one of
// `executions`.
//
// What it cannot show: load buffering and values out of thin air, since threads take their steps in program order;
// anything that needs more preemptions or more operations than it is given; what the compiler does to plain data that
// is no Cell. It shows the outcomes of C++20, weaker than any one processor's: what it refutes may not be seen on
// yours.
//
// Rules for programs: no state outside of the program; the same choices, the same steps. Plain members that are no
// Cells are one thread's, or are ordered by what the program does. A thread that is cut off by a violation, or where
// the search has been, is abandoned: its locals are not destroyed. Then the destructor finds the program in the middle.
//
// One OS thread at a time explores. Cost: some 0.1 us a step, 2 to 5 us an execution.
//
// Rejected: OS threads with a hand-off, 3.1 us a step (measured); copying the state of the program at each choice
// instead of running it again from its beginning, which would have to know all that the code under test allocates.
#ifndef WEFT_LIB_TESTING_MODEL_CHECKER_H_
#define WEFT_LIB_TESTING_MODEL_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "lib/testing/model/model_atomic.h"
#include "weft/internal/atomic.h"

namespace weft::internal::model {

// Preemptions that are not counted.
inline constexpr int kUnbounded = 1000;

struct Options {
  // At most 6, or kUnbounded.
  int preemptions = 2;
  // An exploration that is not over by then stops, and says so.
  int64_t max_executions = 10'000'000;
  // 0: all executions, depth first. Otherwise `max_executions` are drawn at random, for programs that cannot be
  // exhausted.
  uint64_t seed = 0;
  // Of compare_exchange_weak, in one execution. A loop that only tries again needs none.
  int spurious_failures = 0;
  // Of futex waits, in one execution.
  int spurious_wakes = 0;
  // A longer execution is a loop that does not end.
  int max_steps = 500;
};

struct Result {
  int64_t executions = 0;
  int64_t steps = 0;
  double seconds = 0;      // of processor time
  bool exhausted = false;  // there is no other execution within the bound
  std::string violation;   // empty: none was found
  std::string schedule;    // of the violation: for Replay()
  std::string trace;       // of the violation: a line for each step

  // Violation, trace and schedule in one text.
  std::string Report() const;
};

// ---- For programs. (operations.cc)

// What must hold in every execution. The sentence says what does.
void Require(bool holds, const char* sentence) noexcept;

// A number below `count`, 36 at most; each is explored.
int Choose(int count) noexcept;

// A plain variable. Conflicting accesses that are not ordered are a violation. (Code under test has Plain<T>.)
template <class T>
class Cell {
 public:
  explicit Cell(T value = T()) noexcept : value_(std::move(value)), cell_(NewCell()) {}
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;
  const T& Get() const noexcept {
    ReadCell(cell_);
    return value_;
  }
  void Set(T value) noexcept {
    WriteCell(cell_);
    value_ = std::move(value);
  }

 private:
  T value_;
  const int cell_;
};

// The memory of the atomic is given up, as by a destructor. Later uses, and those that are not ordered before, are
// violations.
void Retire(Place place) noexcept;
template <class T>
void Retire(const Atomic<T>& atomic) noexcept {
  Retire(atomic.place());
}

// ---- Exploring.

// How the checker sees a program.
struct ProgramType {
  size_t size;
  size_t alignment;
  int threads;
  bool may_end_waiting;
  void (*construct)(void* memory, const void* arguments);
  void (*thread)(void* program, int index);
  void (*finish)(void* program);
  void (*destroy)(void* program);
};

Result ExploreProgram(const ProgramType& type, const void* arguments, const Options& options);
// Runs one execution. False in `exhausted`: the text is no schedule of this program.
Result ReplayProgram(const ProgramType& type, const void* arguments, const Options& options, std::string_view schedule);

template <class P, class... Arguments>
constexpr ProgramType TypeOf() {
  ProgramType type = {};
  type.size = sizeof(P);
  type.alignment = alignof(P);
  type.threads = P::kThreads;
  if constexpr (requires { P::kMayEndWaiting; }) type.may_end_waiting = P::kMayEndWaiting;
  type.construct = [](void* memory, const void* arguments) {
    std::apply([memory](const auto&... each) { new (memory) P(each...); },
               *static_cast<const std::tuple<Arguments...>*>(arguments));
  };
  type.thread = [](void* program, int index) { static_cast<P*>(program)->Thread(index); };
  type.finish = [](void* program) { static_cast<P*>(program)->Finish(); };
  type.destroy = [](void* program) { static_cast<P*>(program)->~P(); };
  return type;
}

// The arguments go to the constructor of each P.
template <class P, class... Arguments>
Result Explore(const Options& options, Arguments... arguments) {
  static constexpr ProgramType type = TypeOf<P, Arguments...>();
  const std::tuple<Arguments...> kept(std::move(arguments)...);
  return ExploreProgram(type, &kept, options);
}

template <class P, class... Arguments>
Result Replay(const Options& options, std::string_view schedule, Arguments... arguments) {
  static constexpr ProgramType type = TypeOf<P, Arguments...>();
  const std::tuple<Arguments...> kept(std::move(arguments)...);
  return ReplayProgram(type, &kept, options, schedule);
}

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_CHECKER_H_
