#include "weft/io/stream.h"

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/text_view.h"

namespace weft::io {

namespace {

constexpr absl::string_view kPayloadUrl = "weft.dev/end-of-stream";

}  // namespace

absl::Status EndOfStreamError(TextView what) {
  absl::Status status =
      absl::OutOfRangeError(absl::StrCat(absl::string_view(what.data(), what.size()), ": the stream has ended"));
  status.SetPayload(kPayloadUrl, absl::Cord());
  return status;
}

bool IsEndOfStream(const absl::Status& status) {
  return absl::IsOutOfRange(status) && status.GetPayload(kPayloadUrl).has_value();
}

}  // namespace weft::io
