// Ready: how a service says that it can be used, to whoever waits for it in StructuredTaskScope::Start(). (scope.h)
//
// Any thread may call Set(), any number of times; when the Start() has been given up it does nothing. Memory ordering: what
// came before Set() happens before what follows the Start() that it ended. (Trio's TaskStatus.started().)
#ifndef WEFT_READY_H_
#define WEFT_READY_H_

#include "weft/internal/compiler.h"

#include <memory>
#include <mutex>
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
  bool ended = false;  // guarded by lock: the service has, or is about to, and nothing is asked of it any more
};

// In the closure of the service, which is destroyed when the service has ended, or will not be started.
struct StartEnd {
  explicit StartEnd(std::shared_ptr<StartState> of) noexcept : start(std::move(of)) {}
  StartEnd(StartEnd&&) noexcept = default;
  ~StartEnd() {
    if (start != nullptr) End();
  }
  void End() noexcept {
    {
      std::lock_guard guard(start->lock);
      start->ended = true;
    }
    start->decided.Set();
  }
  std::shared_ptr<StartState> start;
};

// In the frame of Start(), while it waits: if that is unwound, the service is asked to end, for the same reason.
class StartGuard {
 public:
  StartGuard(StartState& start, ChildBase& service) noexcept : start_(start), service_(service) {}
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

}  // namespace weft

#endif  // WEFT_READY_H_
