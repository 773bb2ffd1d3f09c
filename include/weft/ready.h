// Ready: how a service says that it can be used, to the thread that waits for it in StructuredTaskScope::Start().
//
//   auto server = co_await scope.Start([](weft::Ready ready) -> weft::Task<absl::Status> {
//     ...
//     ready.Set();   // the Start() returns
//     ...
//   });
//
// Any thread may call Set(), any number of times. After a Start() that was given up, Set() does nothing.
// Memory ordering: what came before Set() happens before what follows the Start() that it ended.
// (scope.h; Trio's TaskStatus.started().)
#ifndef WEFT_READY_H_
#define WEFT_READY_H_

#include "weft/internal/compiler.h"

#include <memory>
#include <utility>

#include "weft/internal/atomic.h"
#include "weft/internal/lock.h"
#include "weft/sync/event.h"

namespace weft {

namespace internal {

class ChildBase;

struct StartState {
  Event decided;  // it is ready, or has ended
  // relaxed: `decided` orders it.
  Atomic<bool> ready{false};
  Lock lock;
  bool ended = false;  // guarded by lock: the service has ended, or is about to; nothing is asked of it any more
};

}  // namespace internal

class Ready {
 public:
  explicit Ready(std::shared_ptr<internal::StartState> start) noexcept : start_(std::move(start)) {}

  void Set() noexcept {
    start_->ready.store(true, std::memory_order_relaxed);
    start_->decided.Set();
  }

 private:
  std::shared_ptr<internal::StartState> start_;
};

namespace internal {

// Its destructor lets the Start() return, if nothing else has before.
class StartEnded {
 public:
  explicit StartEnded(std::shared_ptr<StartState> of) noexcept : start_(std::move(of)) {}
  StartEnded(StartEnded&&) noexcept = default;
  ~StartEnded() {
    if (start_ != nullptr) start_->decided.Set();
  }

 private:
  std::shared_ptr<StartState> start_;
};

// The closure of a service. It is destroyed when the service has ended, or will never be started.
template <class F>
class ServiceCall {
 public:
  ServiceCall(F&& service, std::shared_ptr<StartState> start)
      : service_(std::move(service)), start_(std::move(start)) {}
  ServiceCall(ServiceCall&&) = default;  // throws if F's does: the other one has still not ended then
  ~ServiceCall() {
    if (start_ != nullptr) static_cast<void>(AfterEnd());
  }

  auto operator()() { return service_(Ready(start_)); }

  // Called by the child at its end. The child destroys the returned object when its scope and the policy know how it
  // has ended, so that Start() does not return before. (child.h)
  StartEnded AfterEnd() noexcept {
    {
      LockGuard guard(start_->lock);
      start_->ended = true;
    }
    return StartEnded(std::move(start_));
  }

 private:
  F service_;
  std::shared_ptr<StartState> start_;
};

// In the frame of Start() while it waits. If the frame is unwound, the service is asked to end, for the same reason.
class StartGuard {
 public:
  StartGuard(StartState& start, ChildBase& service) noexcept;
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
  ~StartGuard() {
    if (!decided_) GiveUp();
  }
  void Decided() noexcept { decided_ = true; }

 private:
  void GiveUp() noexcept;

  StartState& start_;
  ChildBase& service_;
  bool decided_ = false;
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_READY_H_
