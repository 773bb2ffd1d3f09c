// Errno to status and back: every number comes back, and a payload that is not ours is no errno.
#include <cstring>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "lib/base/errno_status.h"
#include "tests/fuzz/fuzz.h"
#include "weft/internal/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  int error = 0;
  if (size >= sizeof(error)) std::memcpy(&error, data, sizeof(error));
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (error >= 0) {
    const absl::Status status = weft::internal::ErrnoToStatus(error, text);
    WEFT_CHECK(weft::ErrnoOf(status) == error) << error << " became " << status;
    WEFT_CHECK(status.ok() == (error == 0)) << status;
    const bool has_name = !weft::internal::ErrnoName(error).empty();
    WEFT_CHECK(error == 0 || has_name == (status.code() != absl::StatusCode::kUnknown)) << status;
  }
  absl::Status strange = absl::UnknownError("strange");
  strange.SetPayload(weft::internal::kErrnoPayloadUrl, absl::Cord(text));
  const int read = weft::ErrnoOf(strange);
  WEFT_CHECK(read >= 0) << read;
  WEFT_CHECK(read == 0 || weft::ErrnoOf(weft::internal::ErrnoToStatus(read, "again")) == read) << read;
  return 0;
}
