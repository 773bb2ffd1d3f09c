// Simulation: a runtime whose carriers are fibers on the calling OS thread, whose time is virtual, and whose every decision comes
// from a seed.
//
//   weft::testing::Simulation simulation({.carriers = 2, .seed = 7});
//   EXPECT_EQ(simulation.Run(Main()), 42);      // a Sleep of an hour takes no time
//
// The same seed gives the same run: the same threads on the same carriers in the same order at the same virtual times, which
// trace_hash() sums up. Other seeds give other orders: run a test under many. In all of them nobody who is runnable waits
// longer than two rounds of those who were runnable with it, as is promised (runtime.h). What is simulated is the order of dispatches, wake-ups
// and steals, at the granularity of a thread's turn; within a turn, code runs as on one carrier.
//
// Time stands still while a virtual thread can run, and jumps to the next timer when all are parked. Threads that run on
// and on, so that never all are parked, may be waiting for time to pass, as a loop that polls does: after 10,000 turns
// and checkpoints, or a hundred for each thread that is alive, each further one takes 100 ns.
//
// When all are parked with no timer and no I/O, nothing will ever happen: that is a deadlock, and ends the run at once with
// a report. So does a limit: of the virtual time that a Run() takes, which a deadlock beside a ticker comes to, and of the
// turns that virtual threads take in it, which a loop without end comes to.
//
// The report has a line for each virtual thread: in what it waits, at which line of the program, for how long, and for a lock, who holds
// it. Then every virtual thread is asked to end. If that, too, ends in a deadlock or at a limit, because of what a Shield or a clean-up
// does, shields hide nothing any more; and if that does not help either, because foreign work or a loop never ends, the process ends
// with a last report.
//
// The stack of a carrier is as large as an OS thread's. A thread that uses it up ends the process with a line that says so.
//
// I/O is real, on the backend asked for; time advances only when the kernel has nothing to say for a moment. Runs with I/O are
// repeatable as far as the kernel is.
#ifndef WEFT_TESTING_SIMULATION_H_
#define WEFT_TESTING_SIMULATION_H_

#include "weft/internal/compiler.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/status_traits.h"
#include "weft/runtime.h"
#include "weft/task.h"

namespace weft::testing {

struct SimulationOptions {
  int carriers = 1;
  uint64_t seed = 1;
  int max_pool_size = 64;
  int min_runnable = 1;
  std::optional<IoBackend> io = std::nullopt;   // none: no I/O
  ext::SchedulingObserver* observer = nullptr;  // told of everything, beside the trace
  // Called with the report of a deadlock, or of a limit that was reached; twice in one Run() at most, as told above. None: the report is
  // printed and the process ends.
  std::function<void(const std::string& report)> on_deadlock = nullptr;
  // Limits of one Run(): of virtual time, and of turns of virtual threads, which take some 10 s. (A thread that runs on without coming
  // to a checkpoint takes no turn, and hangs the test.)
  absl::Duration max_time = absl::InfiniteDuration();
  uint64_t max_turns = 20'000'000;
};

class Simulation {
 public:
  explicit Simulation(SimulationOptions options = {});
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // As Runtime::Run(): runs `task` to its end, on this OS thread. May be repeated.
  template <class T>
  T Run(Task<T> task) {
    return runtime().Run(std::move(task));
  }
  // Same, where the task may end by being cancelled: then the status of that.
  template <class T>
  internal::StatusOrOf<T> TryRun(Task<T> task) {
    return runtime().TryRun(std::move(task));
  }

  Runtime& runtime() noexcept;
  absl::Duration now() const noexcept;      // virtual time since the simulation began
  uint64_t trace_hash() const noexcept;     // of everything that happened so far
  uint64_t dispatches() const noexcept;     // turns of virtual threads so far

 private:
  class Trace;
  class Host;
  std::unique_ptr<Trace> trace_;
  std::unique_ptr<Runtime> runtime_;
  Host* host_ = nullptr;  // the runtime's
};

}  // namespace weft::testing

#endif  // WEFT_TESTING_SIMULATION_H_
