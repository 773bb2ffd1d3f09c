// Simulation: a runtime for tests. Its carriers are fibers on the calling OS thread, its time is virtual, and a seed
// decides whatever the scheduler has to decide.
//
//   weft::testing::Simulation simulation({.carriers = 2, .seed = 7});
//   EXPECT_EQ(simulation.Run(Main()), 42);      // a Sleep of an hour takes no time
//
// The same seed gives the same run: the same threads on the same carriers in the same order at the same virtual times.
// trace_hash() sums that up. Other seeds give other orders: run a test under many. In every order, a runnable thread
// waits for at most two turns of each thread that was runnable with it, as runtime.h promises. The simulation reorders
// dispatches, wake-ups and steals. Within a thread's turn, code runs like on one carrier.
//
// Time stands still while a virtual thread can run, unless `turn_time` says how long a turn takes. When all threads are
// parked, it jumps to the next timer, to the nanosecond: a Sleep of 20 ms ends after 20 ms, if nothing else takes time.
// Threads that run on and on may be waiting for time to pass, like a loop that polls. So after 10,000 turns and
// checkpoints, or a hundred for each living thread, each further one takes 100 ns.
//
// If all threads are parked, with no timer and no I/O, nothing will ever happen: this is a deadlock, and ends the run
// at once with a report. Two limits do the same. max_time catches a deadlock beside a ticker; max_turns catches a loop
// without end.
//
// The report has a line for each virtual thread: in what it waits, at which line of the program, for how long, and for
// a lock, which thread holds it. Then every virtual thread is asked to end. If that ends in a deadlock or at a limit,
// too, because of a Shield or a clean-up, shields hide nothing any more. If that does not help, because foreign work or
// a loop never ends, the process ends with a last report.
//
// The wall clock is virtual as well. It begins at 2020-01-01 UTC, or where that of the machine's last simulation
// stopped. It keeps pace with the virtual time, and is set by SetWallClock(), as an administrator or NTP sets that of a
// machine: what waits for a time of it (deadline.h) is moved.
//
// Everything runs on the calling OS thread, and only while that waits for it: in Run() and TryRun(), also those of
// runtime(), in VirtualThread::JoinBlocking(), and at the end of the simulation. The other waits of OS threads, like
// Latch::WaitBlocking() and Future::GetBlocking(), are for what other OS threads do. If they wait for something in the
// simulation between two Run()s, they wait for ever, and nothing reports it; so does the destructor of an executor
// whose tasks have not ended. Have a Run() await it instead.
//
// Blocking() and ThreadPoolExecutor have simulated OS threads: their functions run on the calling one, too, and wait
// there in whatever way Weft has for OS threads, while the others run. (blocking.h) The end of the simulation waits for
// them, and does not ask the closures of a pool to end: close the pool before.
//
// The stack of a carrier is as large as an OS thread's. A thread that uses it up ends the process with a line that says
// so.
//
// I/O is that of a Machine (machine.h), in memory: it takes virtual time, its seed decides, and runs are repeatable. Or
// it is real, on the backend that the options name. Then time advances only when the kernel has had nothing to report
// for a moment, and runs are repeatable as far as the kernel is.
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
#include "weft/internal/into_task.h"
#include "weft/internal/status_traits.h"
#include "weft/io_backend.h"
#include "weft/runtime.h"
#include "weft/task.h"
#include "weft/time_span.h"

namespace weft::internal::machine {
class Kernel;
}  // namespace weft::internal::machine

namespace weft::testing {

class Machine;

struct SimulationOptions {
  int carriers = 1;
  uint64_t seed = 1;
  int max_pool_size = 64;
  int min_runnable = 1;
  // What passes in each turn of a virtual thread, as if it computed: from zero on, and finite.
  TimeSpan turn_time = absl::ZeroDuration();
  // The I/O is this one's. It outlives the simulation, and has no other one meanwhile.
  Machine* machine = nullptr;
  std::optional<IoBackend> io = std::nullopt;   // without a machine: real I/O; nullopt: none
  ext::SchedulingObserver* observer = nullptr;  // sees every event that the trace sees
  UncaughtFailureHandler on_uncaught_failure = nullptr;  // as in RuntimeOptions
  // Called with the report of a deadlock, or of a limit that was reached: twice in one Run() at most, see above.
  // Without it, the report is printed, and the process ends.
  std::function<void(const std::string& report)> on_deadlock = nullptr;
  // Limits of one Run(), on virtual time and on turns of virtual threads. The default number of turns takes about 10 s
  // of real time. In a function of Blocking() a CancelRequested() is a turn as well, and so is a look at a clock. (A
  // thread that runs on without a checkpoint takes no further turn, and hangs the test.)
  TimeSpan max_time = absl::InfiniteDuration();
  uint64_t max_turns = 20'000'000;
};

class Simulation {
 public:
  explicit Simulation(SimulationOptions options = {});
  // Like ~Runtime(): asks the threads that Start() has started to end, and runs them to their end.
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Like Runtime::Run(): runs `task` to its end, on this OS thread. May be called again, also after a deadlock.
  template <internal::TaskOrClosure A>
  internal::ValueOf<A> Run(A&& task) {
    return runtime().Run(std::forward<A>(task));
  }
  // Like Runtime::TryRun(): if the task is cancelled, returns the status of that.
  template <internal::TaskOrClosure A>
  internal::BoundaryResult<internal::ValueOf<A>> TryRun(A&& task) {
    return runtime().TryRun(std::forward<A>(task));
  }

  // Sets the wall clock. Called between two Run()s, or by what runs in the simulation.
  void SetWallClock(absl::Time time);

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
  internal::machine::Kernel* machine_ = nullptr;
};

}  // namespace weft::testing

#endif  // WEFT_TESTING_SIMULATION_H_
