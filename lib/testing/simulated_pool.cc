#include "lib/testing/simulated_pool.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/list.h"
#include "lib/os/futex.h"
#include "lib/os/thread.h"
#include "lib/testing/fiber.h"
#include "lib/thread/runtime_services.h"
#include "lib/timer/deadline.h"
#include "weft/internal/atomic.h"
#include "weft/internal/check.h"

namespace weft::internal {

// Where one job after the other runs.
struct SimulatedPool::Desk final : StandIn {
  explicit Desk(SimulatedPool& of)
      : pool(of),
        name(absl::StrCat(of.options_.name, "-", of.desks_.size(), " of a simulation")),
        fiber([this] { RunJobs(); }, Thread::StackBytes(), name.c_str()) {}

  [[noreturn]] void RunJobs() {
    for (;;) {
      job->run(*job);
      job = nullptr;
      if (pool.runtime_ != nullptr) EndUnscoped(*pool.runtime_);
      Fiber::SwitchBack();
    }
  }

  FutexOutcome Await(const Atomic<uint32_t>& word, uint32_t expected, int64_t deadline_ns) noexcept override {
    awaited = &word;
    awaited_change = expected;
    wakes_ns = deadline_ns;
    Fiber::SwitchBack();
    const bool changed = !Awaits();
    awaited = nullptr;
    wakes_ns = 0;
    return changed ? FutexOutcome::kWoken : FutexOutcome::kTimedOut;
  }
  bool Awaits() const noexcept {
    // relaxed: all carriers and jobs are one OS thread.
    return awaited != nullptr && awaited->load(std::memory_order_relaxed) == awaited_change;
  }
  bool CanGoOn() const noexcept {
    if (job == nullptr) return false;
    return awaited != nullptr && !Awaits() ? true : wakes_ns <= pool.clock_.NowNanos();
  }

  SimulatedPool& pool;
  Job* job = nullptr;
  CallOrigin origin;  // of the call, while the job does not run
  int64_t wakes_ns = 0;  // it goes on then
  const Atomic<uint32_t>* awaited = nullptr;  // or before, when this is no longer `awaited_change`
  uint32_t awaited_change = 0;
  const std::string name;
  Fiber fiber;
};

SimulatedPool::SimulatedPool(const Options& options, Clock& clock, RuntimeCore* runtime) noexcept
    : options_(options), clock_(clock), runtime_(runtime) {}

SimulatedPool::~SimulatedPool() {
  WEFT_CHECK(jobs_.empty()) << "a pool of OS threads is destroyed with " << queued_ << " jobs queued";
}

void SimulatedPool::Close() noexcept {
  desks_.clear();
  over_ = true;
}

bool SimulatedPool::Submit(Job& job) noexcept {
  if (queued_ >= options_.max_queued) return false;
  if (runtime_ != nullptr) BeginUnscoped(*runtime_);
  jobs_.PushBack(&job);
  ++queued_;
  // Here, where the code of a virtual thread runs, and not when the job begins: then nothing is allocated.
  if (static_cast<int64_t>(desks_.size()) < std::min<int64_t>(busy_ + queued_, options_.max_workers)) {
    desks_.push_back(std::make_unique<Desk>(*this));
  }
  return true;
}

bool SimulatedPool::Withdraw(Job& job) noexcept {
  if (!job.linked()) return false;
  JobQueue::Remove(&job);
  --queued_;
  if (runtime_ != nullptr) EndUnscoped(*runtime_);
  return true;
}

int SimulatedPool::workers() noexcept { return static_cast<int>(desks_.size()); }

bool SimulatedPool::MayBegin() const noexcept { return !jobs_.empty() && busy_ < options_.max_workers; }

uint32_t SimulatedPool::Able() const noexcept {
  uint32_t able = MayBegin() ? 1 : 0;
  for (const std::unique_ptr<Desk>& desk : desks_) able += desk->CanGoOn();
  return able;
}

void SimulatedPool::Enter(uint32_t chosen) {
  Desk* desk = nullptr;
  Desk* free = nullptr;
  for (std::unique_ptr<Desk>& each : desks_) {
    if (each->job == nullptr) free = each.get();
    if (each->CanGoOn() && chosen-- == 0) desk = each.get();
  }
  if (desk == nullptr) {
    desk = free;
    desk->job = jobs_.PopFront();
    desk->origin = {.runtime = runtime_};
    --queued_;
    ++busy_;
  }
  running_ = desk;
  StandIn* const stand_in = ExchangeStandIn(desk);
  const CallOrigin outside = ExchangeCallOrigin(desk->origin);
  desk->fiber.SwitchTo();
  desk->origin = ExchangeCallOrigin(outside);
  ExchangeStandIn(stand_in);
  running_ = nullptr;
  if (desk->job == nullptr) --busy_;
}

int64_t SimulatedPool::NextNanos() const noexcept {
  int64_t next = INT64_MAX;
  for (const std::unique_ptr<Desk>& desk : desks_) {
    if (desk->job != nullptr) next = std::min(next, desk->wakes_ns);
  }
  return next;
}

void SimulatedPool::Await(const Atomic<uint32_t>& word, uint32_t expected) noexcept {
  running_->Await(word, expected, kNoDeadlineNs);
}

void SimulatedPool::Pause(int64_t nanos) noexcept {
  running_->wakes_ns = SaturatedSum(clock_.NowNanos(), nanos);
  Fiber::SwitchBack();
}

}  // namespace weft::internal
