#include "weft/cancel_reason.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace weft {
namespace {

// One line a field, escaped: kind, thread, nanoseconds since 1970 or nothing, where, text, and the path. It may come
// from another process: what cannot be read is no reason.
constexpr const char* kPayload = "weft.dev/cancel-reason";
constexpr size_t kFieldsBeforePath = 5;

const char* KindName(CancelReason::Kind kind) {
  switch (kind) {
    case CancelReason::Kind::kNone: return "not cancelled";
    case CancelReason::Kind::kSiblingFailed: return "a sibling failed";
    case CancelReason::Kind::kSiblingSucceeded: return "a sibling succeeded";
    case CancelReason::Kind::kShutdown: return "shut down";
    case CancelReason::Kind::kScopeClosed: return "the scope was closed";
    case CancelReason::Kind::kTimeout: return "the deadline passed";
    case CancelReason::Kind::kRuntimeExit: return "the runtime is exiting";
    case CancelReason::Kind::kStopRequested:
      return "stop was requested";
    case CancelReason::Kind::kOthersEnded:
      return "the other subtasks have ended";
  }
  return "unknown";
}

std::string Encode(const CancelReason& reason) {
  std::string text = absl::StrCat(static_cast<int>(reason.kind), "\n", reason.thread, "\n");
  if (reason.when != absl::InfinitePast()) absl::StrAppend(&text, absl::ToUnixNanos(reason.when));
  absl::StrAppend(&text, "\n", absl::CEscape(reason.where), "\n", absl::CEscape(reason.text));
  for (const std::string& step : reason.path) absl::StrAppend(&text, "\n", absl::CEscape(step));
  return text;
}

CancelReason Decode(const std::string& text) {
  const std::vector<std::string> fields = absl::StrSplit(text, '\n');
  CancelReason reason;
  int kind = 0;
  int64_t when_ns = 0;
  if (fields.size() < kFieldsBeforePath || !absl::SimpleAtoi(fields[0], &kind) || kind < 0 ||
      kind > static_cast<int>(CancelReason::Kind::kOthersEnded) || !absl::SimpleAtoi(fields[1], &reason.thread) ||
      (!fields[2].empty() && !absl::SimpleAtoi(fields[2], &when_ns)) || !absl::CUnescape(fields[3], &reason.where) ||
      !absl::CUnescape(fields[4], &reason.text)) {
    return {};
  }
  reason.kind = static_cast<CancelReason::Kind>(kind);
  if (!fields[2].empty()) reason.when = absl::FromUnixNanos(when_ns);
  for (size_t i = kFieldsBeforePath; i < fields.size(); ++i) {
    std::string step;
    if (!absl::CUnescape(fields[i], &step)) return {};
    reason.path.push_back(std::move(step));
  }
  return reason;
}

}  // namespace

std::string CancelReason::ToString() const {
  std::string sentence = KindName(kind);
  if (!text.empty()) absl::StrAppend(&sentence, ": ", text);
  if (thread != 0) absl::StrAppend(&sentence, " (virtual thread #", thread, ")");
  if (!where.empty()) absl::StrAppend(&sentence, ", at ", where);
  return sentence;
}

absl::Status CancelledStatus(const CancelReason& reason) {
  return internal::WithReason(reason.kind == CancelReason::Kind::kTimeout
                                  ? absl::DeadlineExceededError(reason.ToString())
                                  : absl::CancelledError(reason.ToString()),
                              reason);
}

CancelReason ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return {};
  return Decode(std::string(*payload));
}

namespace internal {

absl::Status WithReason(absl::Status status, const CancelReason& reason) {
  status.SetPayload(kPayload, absl::Cord(absl::string_view(Encode(reason))));
  return status;
}

}  // namespace internal
}  // namespace weft
