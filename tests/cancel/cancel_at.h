// Runs a task, and cancels it at the n-th occasion of some kind, for every n there is.
#ifndef WEFT_TESTS_CANCEL_CANCEL_AT_H_
#define WEFT_TESTS_CANCEL_CANCEL_AT_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "lib/cancel/cancel_request.h"
#include "lib/thread/runtime_services.h"
#include "weft/cancel_reason.h"
#include "weft/ext/scheduling_observer.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"
#include "weft/scope.h"
#include "weft/task.h"
#include "weft/testing/simulation.h"

namespace weft::testing {

// When a request comes, relative to a turn of any virtual thread in the tree.
enum class Occasion {
  kCheckpoint,  // just before a thread looks whether it is cancelled
  kMount,       // as a thread begins to run
  kUnmount,     // between a thread's last step and its being parked: it has looked, and has registered
};

// Brings a request to cancel to `victim` at the n-th occasion. As part of an observer this is more than a user may do.
class CancelAt final : public ext::SchedulingObserver {
 public:
  CancelAt(Occasion occasion, int n) noexcept : occasion_(occasion), left_(n) {}

  void OnMount(const ext::ThreadEvent&) noexcept override { Count(Occasion::kMount); }
  void OnUnmount(const ext::ThreadEvent&) noexcept override { Count(Occasion::kUnmount); }
  void OnCheckpoint(uint64_t) noexcept override { Count(Occasion::kCheckpoint); }

  // Called by the victim.
  void Begin() noexcept {
    victim_ = internal::CurrentThread();
    victim_->TryIdentity();  // which has room for the cause
  }
  void End() noexcept { victim_ = nullptr; }
  bool requested() const noexcept { return requested_; }

 private:
  void Count(Occasion occasion) noexcept {
    if (victim_ == nullptr || occasion != occasion_ || left_-- != 0) return;
    requested_ = true;
    internal::RequestEnd(*victim_, internal::Asker::kAlone, {CancelReason::Kind::kShutdown, 99});
    internal::RunShutdowns(victim_->runtime());
  }

  const Occasion occasion_;
  int left_;
  internal::ThreadBlock* victim_ = nullptr;
  bool requested_ = false;
};

// Runs make() as a child that is cancelled at the n-th occasion. False if it ended before that.
template <class T>
bool RunCancelledAt(Occasion occasion, int n, SimulationOptions options, const std::function<Task<T>()>& make,
                    const std::function<void(Subtask<T>&)>& look) {
  CancelAt cancel(occasion, n);
  options.observer = &cancel;
  Simulation simulation(std::move(options));
  simulation.Run([](CancelAt& at, const std::function<Task<T>()>& body,
                    const std::function<void(Subtask<T>&)>& see) -> Task<void> {
    AwaitAll scope;
    Subtask<T> victim = scope.Fork([&]() -> Task<T> {
      struct Ended {
        CancelAt& at;
        ~Ended() { at.End(); }
      } ended{at};
      at.Begin();
      co_return co_await body();
    });
    (co_await scope.Join()).IgnoreFailures();
    see(victim);
  }(cancel, make, look));
  return cancel.requested();
}

}  // namespace weft::testing

#endif  // WEFT_TESTS_CANCEL_CANCEL_AT_H_
