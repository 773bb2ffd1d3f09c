#include "lib/cancel/explain.h"

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/cancel/boundary.h"
#include "lib/thread/describe.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/boundary.h"
#include "weft/internal/scope_record.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {

CancelReason Explain(const CancelCause& cause, ThreadBlock* thread) {
  CancelReason reason{.kind = static_cast<CancelReason::Kind>(cause.kind), .thread = cause.thread};
  if (cause.where.line() != 0) reason.where = absl::StrCat(cause.where.file_name(), ":", cause.where.line());
  if (cause.text != nullptr) reason.text = cause.text;
  if (thread == nullptr) return reason;
  if (cause.when_ns != CancelCause::kUnknownTime) {
    const int64_t ago = NowOf(thread->runtime()) - cause.when_ns;
    reason.when = absl::FromUnixNanos(WallNowOf(thread->runtime()) - ago);
  }
  // A thread that was asked to end as a whole was asked by its scope. So the way goes on with that scope's owner.
  for (ThreadBlock* at = thread; at->home() != nullptr; at = at->home()->owner) {
    {
      std::lock_guard guard(at->records_lock);
      if (!at->asked() || !CauseOfEnd(*at).IsOf(cause)) break;
    }
    const std::string scope(at->home()->name());
    reason.path.push_back(absl::StrCat(ThreadLabel(*at),
                                       scope.empty() ? ", forked in a scope" : ", forked in the scope ", scope, " of ",
                                       ThreadLabel(*at->home()->owner)));
  }
  return reason;
}

}  // namespace weft::internal
