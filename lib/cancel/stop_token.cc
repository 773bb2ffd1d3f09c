#include "weft/stop_token.h"

#include <mutex>
#include <string_view>
#include <utility>

#include "lib/cancel/open_record.h"
#include "lib/thread/join_count.h"
#include "lib/thread/runtime_services.h"
#include "weft/cancel_reason.h"
#include "weft/internal/cancel_cause.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

#ifdef __cpp_lib_jthread

namespace weft {
namespace internal {

void StopTokenBoundary::Enter(PromiseBase& awaiting) noexcept {
  thread_ = &RequireThread("WithStopToken()");
  frame = &awaiting;
  PushRecord(*thread_, *this);
  callback_.emplace(token_, Stop{this});  // calls it at once if the token is stopped
}

void StopTokenBoundary::Leave() noexcept {
  if (thread_ == nullptr) return;
  callback_.reset();  // waits for a call that is running
  PopRecord(*std::exchange(thread_, nullptr), *this);
}

// On whatever OS thread. The thread stays, since it waits for this call before it leaves; and so does the runtime until
// the thread has been let go.
void StopTokenBoundary::RequestOwn() noexcept {
  RequestFromOutside(*thread_, *this, {CancelReason::Kind::kStopRequested, 0, NowOf(thread_->runtime()), where_});
}

}  // namespace internal

// A scope without children. A request to a boundary outside of it reaches it like any other scope, and counts as its
// child until the callbacks are over. So nothing goes past it before that, not even an unwinding of its owner.
const internal::ScopeRecord::Operations StopOnCancel::kOperations = {
    .request_shutdown = [](ScopeRecord& scope,
                           const internal::CancelCause&) noexcept { static_cast<StopOnCancel&>(scope).RequestStop(); },
    .shut_down_some =
        [](ScopeRecord& scope, int) noexcept {
          // If a destructor waits for this, the owner is still mounted. What the callbacks do must not be taken for its
          // doing.
          {
            const internal::WithoutCurrentThread without;
            static_cast<StopOnCancel&>(scope).source_.request_stop();
          }
          internal::EndCounted(scope);
          return true;
        },
    .register_child = [](ScopeRecord&, internal::ThreadBlock&) noexcept {},
    .for_each_child = [](ScopeRecord&, void (*)(internal::ThreadBlock&, void*), void*) noexcept {},
    .runs_user_code = true,
    .name = [](const ScopeRecord&) noexcept { return std::string_view("StopOnCancel"); },
};

StopOnCancel::StopOnCancel() : ScopeRecord(&internal::RequireThread("StopOnCancel"), kOperations) {
  if (internal::PushRecord(*owner, *this)) source_.request_stop();
}

StopOnCancel::~StopOnCancel() {
  internal::PopRecord(*owner, *this);
  // No new request can find it. One that came before may still be under way.
  if (!children.Drained()) internal::RunDescendantsUntilDrained(*this);
}

void StopOnCancel::RequestStop() noexcept {
  std::lock_guard guard(lock_);
  if (shut()) return;
  state_.store(kShut, std::memory_order_relaxed);
  children.Add();
  internal::EnqueueShutdown(runtime, *this);
}

}  // namespace weft

#endif  // __cpp_lib_jthread
