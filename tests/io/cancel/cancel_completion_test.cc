// Row C2. Goal: however a cancellation and the end of an operation meet, the operation ends once, its result is
// delivered or is still there, no descriptor is left, and the next operation works. Method: the full product of every
// I/O operation, the moment at which the cancellation is asked for, what comes first from there on, and the outcome
// that the operation would have; on each place.
//
// Each case is a simulation of one carrier, whose driver takes a turn only when the case says so: a thread beside the
// operation's directs it, and hands out the turns (Driver::Relieve()). A case is a script of steps:
//
//   S  the operation's thread begins, and runs until it waits, or has ended
//   P  a turn of the driver: what was started goes to the kernel, what has ended is delivered
//   W  everybody waits, so that the driver sleeps in the kernel; its turn ends by a timer
//   C  the cancellation is asked for
//   E  a peer does what completes the operation
//   D  turns of the driver until the operation's thread is ready
//   M  a turn of the driver in the middle of which, between its look for cancellations and its look at completions, the
//      cancellation is asked for
//   R  the operation's thread runs until it waits, or has ended
//
// At the end of each script the driver has its turns by itself, and the thread is joined.
//
// WEFT_CANCEL_SEEDS (1, unless the environment says otherwise) is under how many seeds each case runs.
//
// What cannot be is the nearest that can. An operation that never waits is asked to end before it begins, where the
// script would have asked first. Of an operation of the pool (trial.h) the moments are: queued; before its call of the
// kernel; behind it; behind it, and the call itself looks whether it is to end; its thread is ready. "Short" is said by
// each trial.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/driver/driver.h"
#include "lib/os/syscalls.h"
#include "lib/runtime/host.h"
#include "tests/io/cancel/peers.h"
#include "tests/io/cancel/trial.h"
#include "tests/support/on_both.h"
#include "tests/support/proof_row.h"
#include "tests/support/watched.h"
#include "weft/blocking.h"
#include "weft/io/buffer.h"
#include "weft/io_backend.h"
#include "weft/net/unix_stream.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/census.h"
#include "weft/testing/machine.h"
#include "weft/testing/simulation.h"
#include "weft/time.h"
#include "weft/virtual_thread.h"

namespace weft::testing {
namespace {

using internal::Driver;
using internal::Syscalls;

// ---- The product.

enum class Moment : uint8_t { kNotSubmitted, kSubmitted, kInKernel, kCompletedUnseen, kCompletedSeen };
enum class First : uint8_t { kCancellation, kCompletion };

constexpr Moment kMoments[] = {Moment::kNotSubmitted, Moment::kSubmitted, Moment::kInKernel, Moment::kCompletedUnseen,
                               Moment::kCompletedSeen};
constexpr First kFirsts[] = {First::kCancellation, First::kCompletion};
constexpr const char* kMomentNames[] = {"not submitted", "submitted", "in the kernel", "completed, unseen",
                                        "completed, seen"};
constexpr const char* kFirstNames[] = {"the cancellation first", "the completion first"};
constexpr const char* kOutcomeNames[] = {"success", "error", "short"};

// By moment, and by what comes first. "First" is what the driver, or the thread, comes to first.
constexpr std::string_view kScripts[5][2] = {
    {"SCPEP", "SCEP"},    // in the submission queue
    {"SPCPEP", "SPCEP"},  // the kernel has it
    {"SWCPEP", "SWCEP"},  // and the driver has slept since
    {"SPECP", "SPEM"},    // the kernel has ended it
    {"SPEDC", "SPEDRC"},  // and the driver has delivered it
};
constexpr std::string_view kNeverWaits = "CS";

// Where the operations run.
struct IoPlace {
  const char* name;
  std::optional<IoBackend> io;  // none: a machine's
  int operations;               // that it has

  friend std::ostream& operator<<(std::ostream& out, const IoPlace& place) { return out << place.name; }
};
constexpr IoPlace kPlaces[] = {
    {"uring", IoBackend::kUring, 31},
    {"epoll", IoBackend::kEpoll, 31},
    {"machine", std::nullopt, 29},
};

// Nothing takes time there: what is sent has arrived when the driver looks.
MachineOptions OfMachine(uint64_t seed) {
  return {.seed = seed, .min_delay = absl::ZeroDuration(), .max_delay = absl::ZeroDuration(), .short_transfers = 0};
}

std::vector<Row> AllRows() {
  std::vector<Row> rows;
  AddStreams(rows);
  AddConnections(rows);
  AddDatagrams(rows);
  AddOthers(rows);
  AddPooled(rows);
  return rows;
}

// ---- The calls of a driver.

// Counts the turns in which a driver enters the kernel, and does something in the middle of one.
class WatchedCalls {
 public:
  explicit WatchedCalls(Trial& trial) {
    calls_below = &internal::Sys();
    static Syscalls table;
    table = *calls_below;
    table.epoll_wait = [](int epoll, epoll_event* events, int most, int timeout_ms) {
      const int count = calls_below->epoll_wait(epoll, events, most, timeout_ms);
      Entered();
      return count;
    };
    table.io_uring_enter = [](int ring) {
      Entered();
      return calls_below->io_uring_enter(ring);
    };
    if (PoolTrial* const pooled = trial.pooled(); pooled != nullptr) pooled->Install(table);
    entries_ = 0;
    in_next_ = nullptr;
    installed_ = std::make_unique<internal::ScopedSyscalls>(table);
  }

  static int entries() { return entries_; }
  // In the middle of the next turn.
  static void InNext(AwaitAll* cancelled) { in_next_ = cancelled; }
  static bool Happened() { return in_next_ == nullptr; }

 private:
  static void Entered() {
    ++entries_;
    if (AwaitAll* const cancelled = std::exchange(in_next_, nullptr); cancelled != nullptr) cancelled->Shutdown();
  }

  static inline int entries_ = 0;
  static inline AwaitAll* in_next_ = nullptr;
  std::unique_ptr<internal::ScopedSyscalls> installed_;
};

// ---- One case.

Driver& ThisDriver() {
  internal::Carrier* const carrier = internal::ExchangeCarrier(nullptr);
  internal::ExchangeCarrier(carrier);
  return *internal::DriverOf(*carrier);
}

class Case {
 public:
  Case(Trial& trial, std::string_view script) : trial_(trial), script_(script) {}

  Task<void> Run() {
    co_await trial_.SetUp();
    co_await Sleep(absl::Nanoseconds(1));  // so that no turn of the driver is due by itself for a while
    AwaitAll scope;
    Introduction introduction;
    for (const char step : script_) co_await Step(step, scope, introduction);
    (co_await scope.Join()).IgnoreFailures();
    EXPECT_LE(trial_.returns(), 1) << "it ended twice";
    if (must_return_) EXPECT_EQ(trial_.returns(), 1) << "it was completed first, and not delivered";
    if (must_not_return_) EXPECT_EQ(trial_.returns(), 0) << "it was cancelled first, and delivered";
    co_await trial_.Check();
  }

 private:
  static constexpr int kMostTurns = 10'000'000;  // until an event that is under way arrives
  static constexpr int kFewTurns = 3;

  Task<void> Step(char step, AwaitAll& scope, Introduction& introduction) {
    switch (step) {
      case 'S':
        scope.Fork([this, &introduction]() -> Task<void> {
          introduction.Make();
          co_await trial_.Operate();
        });
        if (asked_) co_return;  // it does not begin
        thread_.emplace(co_await introduction.Await());
        entries_before_ = WatchedCalls::entries();
        co_return co_await UntilParked(*thread_);
      case 'R':
        co_return co_await UntilParked(*thread_);
      case 'W':
        co_return co_await Sleep(absl::Milliseconds(1));
      case 'P':
        TakeTurn();
        co_return;
      case 'D':
        if (trial_.WaitsForTime()) co_return co_await Sleep(absl::Seconds(1));
        for (int turns = trial_.EndsInOneTurn() ? kMostTurns : kFewTurns; Waits() && turns > 0; --turns) {
          TakeTurn();
        }
        if (trial_.EndsInOneTurn()) EXPECT_FALSE(Waits()) << "it was completed, and goes on waiting";
        co_return;
      case 'E':
        // The driver has carried the cancellation out.
        if (asked_while_it_waited_ && turn_since_asked_ && !trial_.IsCompleteBefore()) must_not_return_ = true;
        trial_.Complete();
        LetArrive();
        co_return;
      case 'C':
        if (script_.starts_with("SC")) EXPECT_EQ(WatchedCalls::entries(), entries_before_) << "it was submitted";
        Ask(scope);
        co_return;
      case 'M': {
        // Something else is started, so that a driver of io_uring enters the kernel.
        auto ends = net::UnixStream::Pair().value();
        AwaitAll companions;
        Introduction companion;
        companions.Fork([&]() -> Task<void> {
          char byte;
          companion.Make();
          EXPECT_FALSE((co_await ends.first.Read(MutableBuffer(&byte, 1))).ok());  // it does not return
        });
        co_await companion.AwaitParked();
        asked_ = true;
        WatchedCalls::InNext(&scope);
        TakeTurn();
        EXPECT_TRUE(WatchedCalls::Happened());
        companions.Shutdown();
        (co_await companions.Join()).IgnoreFailures();
        co_return;
      }
    }
  }

  bool Waits() const {
    const VirtualThread::State state = thread_->state();
    return state != VirtualThread::State::kRunnable && state != VirtualThread::State::kTerminated;
  }
  void TakeTurn() {
    LetArrive();
    ThisDriver().Relieve();
    turn_since_asked_ |= asked_;
  }
  void Ask(AwaitAll& scope) {
    asked_ = true;
    if (!thread_.has_value()) {
      must_not_return_ = true;
    } else if (Waits()) {
      asked_while_it_waited_ = true;
    } else if (trial_.EndsInOneTurn()) {
      must_return_ = true;  // it is ready, with its result
    }
    scope.Shutdown();
  }

  Trial& trial_;
  const std::string_view script_;
  std::optional<VirtualThread> thread_;
  int entries_before_ = 0;
  bool asked_ = false, asked_while_it_waited_ = false, turn_since_asked_ = false;
  bool must_return_ = false, must_not_return_ = false;
};

// The same for an operation of the pool, which has one OS thread.
class PoolCase {
 public:
  PoolCase(PoolTrial& trial, Moment moment, First first) : trial_(trial), moment_(moment), first_(first) {}

  Task<void> Run() {
    using Where = PoolTrial::Where;
    co_await trial_.SetUp();
    trial_.HoldUp(moment_ == Moment::kNotSubmitted ? Where::kNowhere
                  : moment_ == Moment::kSubmitted  ? Where::kBeforeTheCall
                                                   : Where::kBehindTheCall);
    AwaitAll scope, others;
    bool busy = false, free = false;
    if (moment_ == Moment::kNotSubmitted) {
      others.Fork([&]() -> Task<absl::Status> {
        co_return co_await Blocking([&] {
          busy = true;
          while (!free) static_cast<void>(CancelRequested());  // which lets others run
        });
      });
      while (!busy) co_await Yield();
    }
    Introduction introduction;
    scope.Fork([this, &introduction]() -> Task<void> {
      introduction.Make();
      co_await trial_.Operate();
    });
    const VirtualThread thread = co_await introduction.Await();
    co_await UntilParked(thread);
    if (moment_ != Moment::kNotSubmitted) {
      while (!trial_.held_up()) co_await Yield();
    }
    const auto go_on = [&] {
      free = true;
      moment_ == Moment::kCompletedUnseen ? trial_.GoOnOnceAsked() : trial_.GoOn();
    };
    if (moment_ == Moment::kCompletedSeen) {
      trial_.GoOn();
      const auto waits = [&] {
        return thread.state() != VirtualThread::State::kRunnable && thread.state() != VirtualThread::State::kTerminated;
      };
      while (waits()) co_await Yield();
      if (first_ == First::kCompletion) co_await UntilParked(thread);
      scope.Shutdown();
    } else if (first_ == First::kCompletion) {
      go_on();
      scope.Shutdown();
    } else {
      scope.Shutdown();
      if (moment_ == Moment::kCompletedUnseen) {
        while (!trial_.asked()) co_await Yield();
      }
      go_on();
    }
    (co_await scope.Join()).IgnoreFailures();
    (co_await others.Join()).IgnoreFailures();
    trial_.LetPass();
    const bool awaited = moment_ != Moment::kNotSubmitted && trial_.AwaitsTheCall();
    EXPECT_EQ(trial_.returns(), awaited || moment_ == Moment::kCompletedSeen ? 1 : 0);
    co_await trial_.Check();
  }

 private:
  PoolTrial& trial_;
  const Moment moment_;
  const First first_;
};

int Seeds() {
  int seeds = 1;
  if (const char* text = std::getenv("WEFT_CANCEL_SEEDS")) EXPECT_TRUE(absl::SimpleAtoi(text, &seeds)) << text;
  return seeds;
}

void RunCase(const IoPlace& place, uint64_t seed, Trial& trial, Moment moment, First first) {
  SimulationOptions options = {.seed = seed,
                               .machine = machine,
                               .io = place.io,
                               .on_deadlock = [](const std::string& report) { ADD_FAILURE() << report; },
                               .max_time = absl::Hours(1)};
  if (PoolTrial* const pooled = trial.pooled(); pooled != nullptr) {
    options.max_pool_size = 1;
    Simulation simulation(std::move(options));
    const WatchedCalls calls(trial);
    PoolCase directed(*pooled, moment, first);
    return simulation.TryRun(Watched(directed.Run())).IgnoreError();
  }
  const bool before = trial.IsCompleteBefore() && moment != Moment::kCompletedSeen && first == First::kCancellation;
  const std::string_view script =
      before ? kNeverWaits : kScripts[static_cast<int>(moment)][static_cast<int>(first)];
  Simulation simulation(std::move(options));
  const WatchedCalls calls(trial);
  Case directed(trial, script);
  simulation.TryRun(Watched(directed.Run())).IgnoreError();
}

// ---- The test.

class CancelCompletionTest : public ::testing::TestWithParam<IoPlace> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, CancelCompletionTest, ::testing::ValuesIn(kPlaces),
                         ::testing::PrintToStringParamName());

TEST_P(CancelCompletionTest, EveryOperationAtEveryMomentInBothOrdersWithEveryOutcome) {
  const std::string what = absl::StrCat("cancellation and completion of every I/O operation, ", GetParam().name);
  ProofRow proof("C2", what);
  const auto seeds = static_cast<uint64_t>(Seeds());
  int64_t runs = 0, operations = 0;
  for (const Row& row : AllRows()) {
    if (row.needs_kernel && !GetParam().io.has_value()) continue;
    ++operations;
    for (const Moment moment : kMoments) {
      for (const First first : kFirsts) {
        for (const Outcome outcome : kOutcomes) {
          SCOPED_TRACE(absl::StrCat(row.name, ": ", kMomentNames[static_cast<int>(moment)], ", ",
                                    kFirstNames[static_cast<int>(first)], ", ",
                                    kOutcomeNames[static_cast<int>(outcome)]));
          for (uint64_t seed = 1; seed <= seeds; ++seed) {
            const Census before = Census::Take();
            {
              std::optional<Machine> simulated;
              if (!GetParam().io.has_value()) simulated.emplace(OfMachine(seed));
              machine = simulated.has_value() ? &*simulated : nullptr;
              const std::unique_ptr<Trial> trial = row.make(outcome);
              RunCase(GetParam(), seed, *trial, moment, first);
            }
            EXPECT_EQ(Census::Take(), before);
            ++runs;
            if (HasFailure()) return;
          }
        }
      }
    }
  }
  proof.AddRuns(runs);
  EXPECT_EQ(runs, operations * 5 * 2 * 3 * static_cast<int64_t>(seeds));
  EXPECT_EQ(operations, GetParam().operations);
}

}  // namespace
}  // namespace weft::testing
