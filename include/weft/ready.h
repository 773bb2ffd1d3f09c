// Ready: how a service says that it can be used, to whoever waits for it in StructuredTaskScope::Start(). (scope.h)
//
// Any thread may call Set(), any number of times. Memory ordering: what came before Set() happens before what follows the
// Start() that it ended. (Trio's TaskStatus.started().)
#ifndef WEFT_READY_H_
#define WEFT_READY_H_

#include "weft/internal/compiler.h"

#include <memory>
#include <utility>

#include "weft/internal/atomic.h"
#include "weft/sync/event.h"

namespace weft {

namespace internal {

struct StartState {
  Event decided;  // it is ready, or has ended
  // relaxed: `decided` orders it.
  Atomic<bool> ready{false};
};

// In the closure of the service, which is destroyed when the service has ended, or will not be started.
struct StartEnd {
  explicit StartEnd(std::shared_ptr<StartState> of) noexcept : start(std::move(of)) {}
  StartEnd(StartEnd&&) noexcept = default;
  ~StartEnd() {
    if (start != nullptr) start->decided.Set();
  }
  std::shared_ptr<StartState> start;
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
