#include "weft/no_suspension.h"

#include <source_location>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/runtime/carrier.h"
#include "lib/runtime/no_suspensions.h"
#include "lib/thread/describe.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait_kind.h"

namespace weft {
namespace internal {

void NoSuspensions::Die(const ThreadBlock& thread, const std::source_location& where) noexcept {
  const NoSuspensionNode& made = *alive_.front();
  const WaitKind* const wait = thread.wait.load(std::memory_order_relaxed);
  std::string what = wait == nullptr ? "suspends" : absl::StrCat("waits in ", ParkReasonName(wait->reason));
  if (where.line() != 0) absl::StrAppend(&what, " at ", where.file_name(), ":", where.line());
  WEFT_CHECK(alive_.empty()) << ThreadLabel(made.thread) << " " << what
                             << ", and holds what it must not hold over a suspension: the weft::NoSuspension that it "
                                "has made at "
                             << made.made_at.file_name() << ":" << made.made_at.line();
  __builtin_unreachable();
}

}  // namespace internal

NoSuspension::NoSuspension(std::source_location where) noexcept {
  internal::Carrier* const carrier = internal::Carrier::Current();
  if (!internal::NoSuspensions::kChecked || carrier == nullptr || carrier->current == nullptr) return;
  node_.thread = carrier->current->id;
  node_.made_at = where;
  carrier->observed.waits_at = {};  // what is there when the thread suspends was written since
  carrier->no_suspensions.Add(node_);
}

// Its thread has not suspended meanwhile, so this is the same carrier.
NoSuspension::~NoSuspension() {
  if (node_.linked()) internal::NoSuspensions::Remove(node_);
}

}  // namespace weft
