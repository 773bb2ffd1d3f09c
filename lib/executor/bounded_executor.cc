#include "weft/executor/bounded_executor.h"

#include <cstdint>
#include <mutex>
#include <source_location>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/sync/waiters.h"
#include "lib/thread/describe.h"
#include "weft/executor/task_run.h"
#include "weft/internal/check.h"
#include "weft/internal/wait.h"

namespace weft {

const internal::WaitKind BoundedExecutor::kWait = {internal::ParkReason::kExecutorPlace, /*timed=*/false,
                                                   &internal::Waiters::Withdraw};

namespace {

int64_t Checked(int64_t max_tasks) {
  WEFT_CHECK(max_tasks >= 1) << "a BoundedExecutor of " << max_tasks << " tasks; it needs 1 or more";
  return max_tasks;
}

}  // namespace

BoundedExecutor::BoundedExecutor(int64_t max_tasks, std::source_location where)
    : VirtualThreadPerTaskExecutor(where), max_(Checked(max_tasks)), free_(max_) {}

BoundedExecutor::BoundedExecutor(Runtime& runtime, int64_t max_tasks, std::source_location where)
    : VirtualThreadPerTaskExecutor(runtime, where), max_(Checked(max_tasks)), free_(max_) {}

BoundedExecutor::~BoundedExecutor() {
  ShutDownAndWait(where());
  std::lock_guard guard(waiters_.lock);
  // The tasks that have ended now have given their places to those who wait.
  WEFT_CHECK(waiters_.nodes.empty() && free_ == max_)
      << "a BoundedExecutor is destroyed by " << internal::DescribeCaller() << " while "
      << (waiters_.nodes.empty() ? "a thread that was given a place" : internal::DescribeThread(waiters_.First()))
      << " waits to submit to it";
}

int64_t BoundedExecutor::free_places() noexcept {
  std::lock_guard guard(waiters_.lock);
  return free_;
}

bool BoundedExecutor::TakePlace() noexcept {
  std::lock_guard guard(waiters_.lock);
  if (free_ == 0) return false;
  --free_;
  return true;
}

bool BoundedExecutor::AwaitPlace(internal::AwaitingFrame frame) noexcept {
  return internal::WaitIn(waiters_, frame, kWait, [this] {
    if (free_ == 0) return false;
    --free_;
    return true;
  });
}

// Hands the place to the first waiter, so that nobody overtakes it.
void BoundedExecutor::GiveBack() noexcept {
  internal::ThreadBlock* next;
  {
    std::lock_guard guard(waiters_.lock);
    next = waiters_.GrantThread();
    if (next == nullptr) ++free_;
  }
  if (next != nullptr) internal::Wake(*next);
}

void BoundedExecutor::AdmitTo(Place& place, internal::TaskRun& run) noexcept {
  run.has_place = true;
  place.Keep();
  if (!Admit(run)) GiveBack();
}

void BoundedExecutor::Start(internal::TaskRun& run) noexcept {
  if (!run.has_place) {
    run.has_place = TakePlace();
    if (!run.has_place) {
      return run.EndUnstarted(internal::Refusal(absl::StatusCode::kResourceExhausted,
                                                "Submit() to a BoundedExecutor without a free place"),
                              uncaught_handler());
    }
  }
  VirtualThreadPerTaskExecutor::Start(run);
}

// Before the future is done: whoever has waited for it finds a place.
void BoundedExecutor::Ending(internal::TaskRun& run) noexcept {
  if (run.has_place) GiveBack();
}

}  // namespace weft
