// The reason of a cancellation in a status, which may come from another process: whatever a payload says is read as a
// reason that writes that payload, or as none; and any reason comes back as it was, in one line.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fuzz/fuzz.h"
#include "weft/cancel_reason.h"
#include "weft/internal/check.h"

namespace weft::testing {
namespace {

constexpr absl::string_view kPayload = "weft.dev/cancel-reason";
constexpr uint8_t kKinds = 12;

std::string PayloadOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  WEFT_CHECK(payload.has_value()) << status;
  return std::string(*payload);
}

void CheckRead(absl::string_view payload) {
  absl::Status status = absl::CancelledError("from somewhere");
  status.SetPayload(kPayload, absl::Cord(payload));
  const CancelReason reason = ReasonOf(status);
  if (reason == CancelReason()) return;
  const std::string again = PayloadOf(CancelledStatus(reason));
  WEFT_CHECK(again == payload) << payload << " was read as " << again;
}

void CheckWritten(FuzzInput input) {
  CancelReason reason;
  reason.kind = static_cast<CancelReason::Kind>(input.TakeByte() % kKinds);
  const std::string_view numbers = input.Take(16);
  if (numbers.size() == 16) {
    int64_t nanos;
    std::memcpy(&reason.thread, numbers.data(), 8);
    std::memcpy(&nanos, numbers.data() + 8, 8);
    // A date that a reader of RFC 3339 knows.
    if (nanos != 0) reason.when = absl::FromUnixNanos(nanos);
  }
  reason.where = std::string(input.Take(input.TakeByte() % 16));
  reason.text = std::string(input.Take(input.TakeByte() % 32));
  while (!input.empty()) reason.path.emplace_back(input.Take(input.TakeByte() % 32));
  const absl::Status status = CancelledStatus(reason);
  const std::string payload = PayloadOf(status);
  WEFT_CHECK(payload.find('\n') == std::string::npos && payload.find('\0') == std::string::npos) << payload;
  WEFT_CHECK(ReasonOf(status) == reason) << payload << " was read as " << PayloadOf(CancelledStatus(ReasonOf(status)));
}

}  // namespace
}  // namespace weft::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  weft::testing::CheckRead(absl::string_view(bytes.data(), bytes.size()));
  weft::testing::CheckWritten(weft::testing::FuzzInput(bytes));
  return 0;
}
