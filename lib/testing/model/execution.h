// How does one execution of a program run?
//
// Each thread is a fiber, and before each of its steps there is a choice of who comes first. The program's constructor,
// Finish() and destructor run on one more, the frame, so that a violation can leave them.
//
//   Search search(seed);
//   Execution execution(type, arguments, options, search);
//   execution.Run();                            // by the choices that `search` has for it
//   if (execution.failed()) std::cerr << execution.violation();
//   search.Advance();
//   execution.Run();                            // the next one
//
// While it runs, the seam (lib/testing/model/model_atomic.h, lib/os/futex.h) and what is there for programs (checker.h)
// find it by `Running`. One at a time.
#ifndef WEFT_LIB_TESTING_MODEL_EXECUTION_H_
#define WEFT_LIB_TESTING_MODEL_EXECUTION_H_

#include <setjmp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/os/futex.h"
#include "lib/testing/fiber.h"
#include "lib/testing/model/checker.h"
#include "lib/testing/model/memory.h"
#include "lib/testing/model/model_atomic.h"
#include "lib/testing/model/search.h"
#include "weft/internal/check.h"

namespace weft::internal::model {

class Execution {
 public:
  // All of them outlive it.
  Execution(const ProgramType& type, const void* arguments, const Options& options, Search& search);
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution();

  // Runs the program once, from its constructor to its destructor.
  void Run();
  // The same, and returns a line for each step.
  std::string RunTraced();

  // ---- The last one that ran.
  bool failed() const { return failed_; }
  const std::string& violation() const { return violation_; }
  // All that ran.
  int64_t total_steps() const { return total_steps_; }

  static Execution& Running(const char* what) {
    WEFT_CHECK(running_ != nullptr) << what << " outside of model::Explore()";
    return *running_;
  }
  // Whether the caller is a part of a program.
  static bool IsUnderWay() { return running_ != nullptr && running_->actor_ != kNone; }

  // ---- What the running thread does: see operations.cc.

  int NewPlace(uint64_t value, Where where);
  uint64_t Load(int place, Order order, Where where);
  void Store(int place, uint64_t value, Order order, Where where);
  uint64_t Modify(int place, Update update, uint64_t operand, uint64_t mask, Order order, Where where);
  bool CompareExchange(int place, uint64_t& expected, uint64_t desired, bool weak, Order success, Order failure,
                       Where where);
  void FenceStep(const char* name, Order order, Where where);
  void LightFence(Order order, Where where);
  void HeavyFence(Order order, Where where);
  void Relax(Where where);
  FutexOutcome Wait(int place, uint32_t expected, bool timed);
  void WakeUp(int place, int count);
  void Retire(int place) { memory_.Retire(thread(), place); }
  int NewCell() { return memory_.NewCell(); }
  void ReadCell(int cell) { memory_.ReadCell(thread(), cell); }
  void WriteCell(int cell) { memory_.WriteCell(thread(), cell); }
  int Choose(int count);
  [[noreturn]] void Fail(const std::string& violation);

 private:
  static constexpr int kFrame = kMaxThreads;
  static constexpr int kNone = -1;

  enum class Phase : uint8_t { kConstruct, kFinish, kDestroy };
  enum class Sleep : uint8_t { kNone, kForever, kTimed };
  enum class Awoken : uint8_t { kNone, kRung, kTimedOut, kSpurious };

  struct Actor {
    std::unique_ptr<Fiber> fiber;
    jmp_buf start;
    bool at_start = true;
    Sleep sleep = Sleep::kNone;
    Awoken awoken = Awoken::kNone;
    int sleeps_on = 0;
  };

  int thread() const { return actor_ == kFrame ? kNobody : actor_; }

  // ---- Actors.
  Actor& ActorOf(int index) { return actors_[static_cast<size_t>(index)]; }
  const Actor& ActorOf(int index) const { return actors_[static_cast<size_t>(index)]; }
  void RunActor(int index);
  [[noreturn]] void ActorMain(int index);
  [[noreturn]] void Leave();
  void Abandon(int index);
  void RunFrame(Phase phase);

  // ---- Scheduling.
  void Step();
  void PrivateStep();
  void CountStep();
  void SwitchTo(int thread);
  void GiveWay();
  int PickNext();
  Mask Ready();
  Mask Sleepers(Sleep sleep) const;
  Mask Preempters();
  void Rouse(int thread, Awoken awoken);
  void CutIfSeen(int next);

  // ---- Operations.
  void LoadStep(int place, Order order);
  void StoreStep(int place, Order order);
  void NoteUse(int place, bool writes);

  void Trace(std::string_view what, Where where);
  std::string DescribeDeadlock() const;

  static inline constinit Execution* running_ = nullptr;

  const ProgramType& type_;
  const void* const arguments_;
  const Options& options_;
  Search& search_;
  Choices& choices_;
  void* const program_;
  Memory memory_{choices_};
  std::array<Actor, kMaxThreads + 1> actors_;
  const bool bounded_;

  // ---- The one that runs.
  int actor_ = kNone;  // who runs: a thread, or kFrame
  Mask live_ = 0;      // threads that have not ended
  Mask asleep_ = 0;
  Mask spinning_ = 0;  // between a Relax() and the next step
  int preemptions_left_ = 0;
  int spurious_failures_left_ = 0;
  int spurious_wakes_left_ = 0;
  int futile_rounds_ = 0;
  int steps_ = 0;
  Phase phase_ = Phase::kConstruct;
  bool chosen_ = false;  // the running thread was chosen, and has not taken a step since
  bool failed_ = false;
  bool stopped_ = false;  // failed, or known from here on, or over
  bool is_cut_ = false;   // known from some step on: what the destructor says of a program in the middle is nothing
  bool tracing_ = false;
  std::string violation_;
  std::string trace_;

  int64_t total_steps_ = 0;
};

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_EXECUTION_H_
