// Row L1 for the ThreadPoolExecutor, with OS threads, which no simulation knows, and with simulated ones. (harness.h)
//
// The threads of a scenario do not wait for what its tasks do: they look. So they can be in a simulation while the
// tasks run beside it. A schedule is then one of many that the kernel may choose, and the same seed need not repeat a
// violation. A pool of OS threads is made and used by an OS thread, since it is not for simulations.
//
// Half of the tasks wait in their OS thread until one is let go. A call waits, by looking again and again, until no OS
// thread has anything else to do. Waits for futures belong to the row of the future, and unwinding to those of the
// other executors (executor_test.cc).
//
// When a task is taken out of the queue, when it ends, and when its OS thread has left it, are events of the
// executor's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/linearizability/harness.h"
#include "tests/linearizability/search.h"
#include "weft/cancellation.h"
#include "weft/executor/future.h"
#include "weft/executor/future_state.h"
#include "weft/executor/task_run.h"
#include "weft/executor/thread_pool_executor.h"
#include "weft/task.h"
#include "weft/time.h"

namespace weft::testing {
namespace {

constexpr Answer kNothingToDo = -100, kNotYet = -200;
constexpr Answer kNo = 0, kYes = 1;

// A value is positive; a failure is its code, negative.
Answer AsAnswer(const absl::StatusOr<Answer>& outcome) {
  return outcome.ok() ? *outcome : -static_cast<Answer>(outcome.status().code());
}
constexpr Answer AsAnswer(absl::StatusCode code) { return -static_cast<Answer>(code); }

template <bool kSimulated, bool kForgetsCancel = false>
struct PoolRow {
  static constexpr std::string_view kName = kSimulated ? "ThreadPoolExecutor, simulated" : "ThreadPoolExecutor";
  enum Kind {
    kSubmit,
    kLetOneGo,
    kLetAllGo,
    kSettle,
    kLook,    // at the outcome of the newest task
    kCancel,  // the newest task
    kShutdown,
    kShutdownNow,
    kIsShutdown,
    kIsTerminated,
    kAwaitTermination,
    kTaken,
    kEnded,
    kLeft,
  };
  static std::string NameOf(Call call) {
    constexpr std::array kNames = {"Submit",
                                   "(one is let go)",
                                   "(all are let go)",
                                   "(settle)",
                                   "(look)",
                                   "Cancel",
                                   "Shutdown",
                                   "ShutdownNow",
                                   "IsShutdown",
                                   "IsTerminated",
                                   "(termination)",
                                   "(taken)",
                                   "(ended)",
                                   "(left)"};
    return absl::StrCat(kNames[static_cast<size_t>(call.kind)], " ", call.argument);
  }
  static Call Draw(Dice& dice, int64_t number) {
    constexpr std::array kKinds = {kSubmit, kSubmit, kSubmit, kSubmit,   kSubmit,      kLetOneGo,   kLetOneGo, kSettle,
                                   kSettle, kLook,   kLook,   kLook,     kCancel,      kCancel,     kCancel,
                                   kShutdown, kShutdownNow, kIsShutdown, kIsTerminated, kIsTerminated};
    return {kKinds[static_cast<size_t>(dice.Roll(kKinds.size()))], number};
  }
  static std::vector<Call> Epilogue() {
    return {{kSettle}, {kLook}, {kShutdownNow}, {kIsShutdown}, {kLetAllGo}, {kAwaitTermination}, {kLook}};
  }
  static int ThreadsOf(int64_t variant) { return 1 + static_cast<int>(variant % 2); }
  static bool WaitsToBeLetGo(int64_t number) { return number % 2 == 0; }

  class Object {
   public:
    explicit Object(int64_t variant) : threads_(ThreadsOf(variant)) {
      ByItsUser([this] { executor_.emplace(threads_); });
    }
    void Begin(History& history) { history_ = &history; }
    Task<Answer> Make(int, Call call) {
      switch (call.kind) {
        case kSubmit:
          co_return Submit(call.argument);
        case kLetOneGo:
          go_.release();
          co_return kYes;
        case kLetAllGo:
          go_.release(Scenario::kThreads * Scenario::kCalls);
          co_return kYes;
        case kSettle:
          while (!IsSettled()) co_await LetOthersGoOn();
          co_return kYes;
        case kShutdown:
          executor_->Shutdown();
          co_return kYes;
        case kShutdownNow:
          executor_->ShutdownNow();
          co_return kYes;
        case kIsShutdown:
          co_return executor_->IsShutdown();
        case kIsTerminated:
          co_return executor_->IsTerminated();
        case kAwaitTermination:
          while (!executor_->IsTerminated()) co_await LetOthersGoOn();
          co_return kYes;
        default:
          break;
      }
      if (futures_.empty()) co_return kNothingToDo;
      if (call.kind == kLook) co_return Look();
      if (!kForgetsCancel) futures_.back().Cancel();
      co_return kYes;
    }
    void Leave(int) {}

   private:
    Answer Submit(int64_t number) {
      for (const Kind kind : {kTaken, kEnded, kLeft}) history_->AddOwn({kind, number});
      const auto task = [this, number] {
        if (WaitsToBeLetGo(number)) {
          waiting_.fetch_add(1);
          while (kSimulated && !go_.try_acquire()) static_cast<void>(internal::LetOthersRun());
          if (!kSimulated) go_.acquire();
          waiting_.fetch_sub(1);
        }
        return Answer{number};
      };
      ByItsUser([&] { futures_.push_back(executor_->Submit(task)); });
      return Look() == AsAnswer(absl::StatusCode::kFailedPrecondition) ? kNo : kYes;
    }
    static void ByItsUser(absl::FunctionRef<void()> use) {
      if (kSimulated) return use();
      std::thread(use).join();
    }
    static Task<void> LetOthersGoOn() {
      if (kSimulated) co_return co_await Shield(Yield());
      std::this_thread::yield();
    }
    // Does not await it: no thread of a simulation is to be woken by another OS thread.
    Answer Look() const {
      const Future<Answer>& newest = futures_.back();
      return newest.IsDone() ? AsAnswer(internal::FutureAccess::State(newest).TryTake(/*give_up=*/false)) : kNotYet;
    }
    bool IsSettled() const {
      return waiting_.load() == threads_ ||
             std::count_if(futures_.begin(), futures_.end(),
                           [](const Future<Answer>& each) { return !each.IsDone(); }) == waiting_.load();
    }

    const int threads_;
    History* history_ = nullptr;
    std::counting_semaphore<> go_{0};
    std::atomic<int> waiting_{0};
    std::vector<Future<Answer>> futures_;
    std::optional<ThreadPoolExecutor> executor_;  // the last: its tasks use the others
  };

  class Model : public WaitingCalls {
   public:
    explicit Model(int64_t variant) : free_(ThreadsOf(variant)) {}

    // A task that is asked to end when it has been taken out of the queue may have begun by then, or not.
    static int Choices(Call call) { return call.kind == kEnded ? 2 : 1; }
    void Prefer(int choice) { unstarted_ = choice == 1; }

    std::optional<Answer> Begin(int thread, Call call) {
      const bool unstarted = std::exchange(unstarted_, false);
      switch (call.kind) {
        case kSubmit:
          submitted_.push_back({.number = call.argument});
          if (!shut_) return kYes;
          End(submitted_.back(), AsAnswer(absl::StatusCode::kFailedPrecondition));
          submitted_.back().left = true;
          return kNo;
        case kLetOneGo:
          ++go_;
          return kYes;
        case kLetAllGo:
          go_ += Scenario::kThreads * Scenario::kCalls;
          return kYes;
        case kLook:
          if (submitted_.empty()) return kNothingToDo;
          return submitted_.back().done() ? submitted_.back().outcome : kNotYet;
        case kCancel:
          return submitted_.empty() ? kNothingToDo : Cancel(submitted_.back());
        case kShutdownNow:
          for (Submitted& each : submitted_) each.asked = true;
          [[fallthrough]];
        case kShutdown:
          shut_ = true;
          TerminateIfAllHaveLeft();
          return kYes;
        case kIsShutdown:
          return shut_;
        case kIsTerminated:
          return terminated_;
        case kAwaitTermination:
          return terminated_ ? std::optional<Answer>(kYes) : Add(thread, call);
        case kTaken:
          return TakeOut(call.argument);
        case kEnded:
          return Ended(call.argument, unstarted);
        case kLeft:
          return Left(call.argument);
        case kLeave:
          return kNo;
        default:
          return kYes;  // kSettle
      }
    }
    bool operator==(const Model&) const = default;
    template <class H>
    friend H AbslHashValue(H h, const Model& m) {
      return H::combine(std::move(h), static_cast<const WaitingCalls&>(m), m.submitted_, m.free_, m.go_, m.shut_,
                        m.terminated_);
    }

   private:
    struct Submitted {
      int64_t number;
      Answer outcome = 0;
      bool asked = false, taken = false, left = false;
      bool done() const { return outcome != 0; }
      bool queued() const { return !taken && !done(); }
      bool operator==(const Submitted&) const = default;
      template <class H>
      friend H AbslHashValue(H h, const Submitted& s) {
        return H::combine(std::move(h), s.number, s.outcome, s.asked, s.taken, s.left);
      }
    };

    Submitted* Of(int64_t number) {
      const auto found = std::find_if(submitted_.begin(), submitted_.end(),
                                      [number](const Submitted& each) { return each.number == number; });
      return found == submitted_.end() ? nullptr : &*found;
    }
    static void End(Submitted& task, Answer outcome) { task.outcome = outcome; }
    // What is queued is done at once.
    Answer Cancel(Submitted& task) {
      task.asked = true;
      if (!task.queued()) return kYes;
      End(task, AsAnswer(absl::StatusCode::kCancelled));
      task.left = true;
      TerminateIfAllHaveLeft();
      return kYes;
    }
    // First come, first served.
    std::optional<Answer> TakeOut(int64_t number) {
      const auto first = std::find_if(submitted_.begin(), submitted_.end(),
                                      [](const Submitted& each) { return each.queued(); });
      if (free_ == 0 || first == submitted_.end() || first->number != number) return std::nullopt;
      --free_;
      first->taken = true;
      return kNo;
    }
    std::optional<Answer> Ended(int64_t number, bool unstarted) {
      Submitted* const task = Of(number);
      if (task == nullptr || task->done()) return std::nullopt;
      if (unstarted) {
        if (!task->asked) return std::nullopt;
        End(*task, AsAnswer(absl::StatusCode::kCancelled));
        return kNo;
      }
      if (!task->taken) return std::nullopt;
      if (WaitsToBeLetGo(number) && go_-- == 0) return std::nullopt;
      End(*task, number);
      return kNo;
    }
    std::optional<Answer> Left(int64_t number) {
      Submitted* const task = Of(number);
      if (task == nullptr || !task->done() || task->left) return std::nullopt;
      task->left = true;
      free_ += task->taken;
      TerminateIfAllHaveLeft();
      return kNo;
    }
    void TerminateIfAllHaveLeft() {
      if (!shut_ || !std::all_of(submitted_.begin(), submitted_.end(), [](const Submitted& each) { return each.left; }))
        return;
      terminated_ = true;
      while (!empty()) Give(front().thread, kYes);
    }

    std::vector<Submitted> submitted_;
    int free_;         // OS threads
    int64_t go_ = 0;   // how many more are let go
    bool unstarted_ = false;
    bool shut_ = false;
    bool terminated_ = false;
  };
};

// With a fault.
TEST(PoolLinearizabilityTest, TheHarnessFindsThatATaskIsNotCancelled) {
  EXPECT_NE((FindViolation<PoolRow</*kSimulated=*/false, true>>(kScenarios, 1)), "");
  EXPECT_NE((FindViolation<PoolRow</*kSimulated=*/true, true>>(kScenarios, 1)), "");
}

TEST(PoolLinearizabilityTest, TasksOfAPoolBeginInTurnOrAreWithdrawn) {
  ProveLinearizable<PoolRow</*kSimulated=*/false>>();
}
TEST(PoolLinearizabilityTest, TasksOfASimulatedPoolBeginInTurnOrAreWithdrawn) {
  ProveLinearizable<PoolRow</*kSimulated=*/true>>();
}

}  // namespace
}  // namespace weft::testing
