#include "weft/cancel_reason.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace weft {
namespace {

// A line of text, as it is read, and as Status::ToString() prints it:
//
//   kind: shut down; thread: 7; when: 2026-11-26T16:50:32.5+00:00; at: a/b.cc:31; text: no quorum; via: Virtual...
//
// The fields come in this order; what there is none of is left out; each step of the path has a field. In a field "%3b"
// stands for a semicolon, and so on. The line may come from another process: what cannot be read is no reason.
constexpr const char* kPayload = "weft.dev/cancel-reason";
constexpr absl::string_view kKind = "kind: ";
constexpr absl::string_view kThread = "thread: ";
constexpr absl::string_view kWhen = "when: ";
constexpr absl::string_view kWhere = "at: ";
constexpr absl::string_view kText = "text: ";
constexpr absl::string_view kStep = "via: ";
constexpr absl::string_view kEndOfField = "; ";
constexpr absl::string_view kUnknownKind = "unknown";

absl::string_view KindName(CancelReason::Kind kind) {
  switch (kind) {
    case CancelReason::Kind::kNone: return "not cancelled";
    case CancelReason::Kind::kSiblingFailed: return "a sibling failed";
    case CancelReason::Kind::kSiblingSucceeded: return "a sibling succeeded";
    case CancelReason::Kind::kShutdown: return "shut down";
    case CancelReason::Kind::kScopeClosed: return "the scope was closed";
    case CancelReason::Kind::kTimeout: return "the deadline passed";
    case CancelReason::Kind::kRuntimeExit: return "the runtime is exiting";
    case CancelReason::Kind::kStopRequested: return "stop was requested";
    case CancelReason::Kind::kOthersEnded: return "the other subtasks have ended";
    case CancelReason::Kind::kEventSet: return "the event was set";
    case CancelReason::Kind::kRequested: return "a cancellation was requested";
    case CancelReason::Kind::kFutureCancelled: return "its future was cancelled";
  }
  return kUnknownKind;
}

// What would end a field, or the line.
bool IsEscaped(char c) { return c == '%' || c == ';' || absl::ascii_iscntrl(static_cast<unsigned char>(c)); }

void AppendField(std::string& line, absl::string_view name, absl::string_view value) {
  if (!line.empty()) absl::StrAppend(&line, kEndOfField);
  absl::StrAppend(&line, name);
  for (const char c : value) {
    if (IsEscaped(c)) {
      absl::StrAppend(&line, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      line.push_back(c);
    }
  }
}

// Takes the next field of `line` into `value` if it has that name.
bool TakeField(absl::string_view& line, absl::string_view name, std::string& value) {
  if (!absl::ConsumePrefix(&line, name)) return false;
  const absl::string_view field = line.substr(0, line.find(kEndOfField));
  line.remove_prefix(field.size());
  absl::ConsumePrefix(&line, kEndOfField);
  value.clear();
  for (size_t i = 0; i < field.size(); ++i) {
    uint32_t code;
    if (field[i] == '%' && absl::SimpleHexAtoi(field.substr(i + 1, 2), &code)) {
      value.push_back(static_cast<char>(code));
      i += 2;
    } else {
      value.push_back(field[i]);
    }
  }
  return true;
}

std::string Encode(const CancelReason& reason) {
  std::string line;
  AppendField(line, kKind, KindName(reason.kind));
  if (reason.thread != 0) AppendField(line, kThread, absl::StrCat(reason.thread));
  if (reason.when != absl::InfinitePast()) {
    AppendField(line, kWhen, absl::FormatTime(absl::RFC3339_full, reason.when, absl::UTCTimeZone()));
  }
  if (!reason.where.empty()) AppendField(line, kWhere, reason.where);
  if (!reason.text.empty()) AppendField(line, kText, reason.text);
  for (const std::string& step : reason.path) AppendField(line, kStep, step);
  return line;
}

std::optional<CancelReason::Kind> KindNamed(absl::string_view name) {
  for (uint8_t kind = 0; KindName(static_cast<CancelReason::Kind>(kind)) != kUnknownKind; ++kind) {
    if (name == KindName(static_cast<CancelReason::Kind>(kind))) return static_cast<CancelReason::Kind>(kind);
  }
  return std::nullopt;
}

CancelReason Decode(absl::string_view line) {
  const absl::string_view whole = line;
  CancelReason reason;
  std::string value;
  if (!TakeField(line, kKind, value)) return {};
  const std::optional<CancelReason::Kind> kind = KindNamed(value);
  if (!kind.has_value()) return {};
  reason.kind = *kind;
  if (TakeField(line, kThread, value) && !absl::SimpleAtoi(value, &reason.thread)) return {};
  if (TakeField(line, kWhen, value) && !absl::ParseTime(absl::RFC3339_full, value, &reason.when, nullptr)) return {};
  TakeField(line, kWhere, reason.where);
  TakeField(line, kText, reason.text);
  while (TakeField(line, kStep, value)) reason.path.push_back(value);
  // Whatever else it has, or has otherwise, Encode() has not written.
  return Encode(reason) == whole ? reason : CancelReason();
}

}  // namespace

std::string CancelReason::ToString() const {
  std::string sentence(KindName(kind));
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
  const std::string line(*payload);
  return Decode(line);
}

namespace internal {

absl::Status WithReason(absl::Status status, const CancelReason& reason) {
  status.SetPayload(kPayload, absl::Cord(absl::string_view(Encode(reason))));
  return status;
}

}  // namespace internal
}  // namespace weft
