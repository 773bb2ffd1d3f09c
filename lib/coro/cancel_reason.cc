#include "weft/cancel_reason.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace weft {
namespace {

constexpr const char* kPayload = "weft.dev/cancel-reason";

const char* KindName(CancelReason::Kind kind) {
  switch (kind) {
    case CancelReason::Kind::kNone: return "not cancelled";
    case CancelReason::Kind::kSiblingFailed: return "a sibling failed";
    case CancelReason::Kind::kSiblingSucceeded: return "a sibling succeeded";
    case CancelReason::Kind::kShutdown: return "shut down";
    case CancelReason::Kind::kScopeClosed: return "the scope was closed";
    case CancelReason::Kind::kTimeout: return "the deadline passed";
    case CancelReason::Kind::kRuntimeExit: return "the runtime is exiting";
  }
  return "unknown";
}

}  // namespace

std::string CancelReason::ToString() const {
  if (thread == 0) return KindName(kind);
  return absl::StrCat(KindName(kind), " (virtual thread #", thread, ")");
}

absl::Status CancelledStatus(const CancelReason& reason) {
  absl::Status status = reason.kind == CancelReason::Kind::kTimeout ? absl::DeadlineExceededError(reason.ToString())
                                                                    : absl::CancelledError(reason.ToString());
  const std::string text = absl::StrCat(static_cast<int>(reason.kind), " ", reason.thread);
  status.SetPayload(kPayload, absl::Cord(absl::string_view(text)));
  return status;
}

CancelReason ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return {};
  const std::string text(*payload);
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(' ', 1));
  int kind = 0;
  uint64_t thread = 0;
  if (!absl::SimpleAtoi(parts.first, &kind) || !absl::SimpleAtoi(parts.second, &thread)) return {};
  return {static_cast<CancelReason::Kind>(kind), thread};
}

}  // namespace weft
