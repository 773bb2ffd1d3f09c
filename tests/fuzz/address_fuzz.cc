// SocketAddress::Parse() of any text: it is refused with a sentence, or it is an address whose text is read again as
// the same address.
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/fuzz/fuzz.h"
#include "weft/internal/check.h"
#include "weft/net/socket_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weft::net::SocketAddress;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(text);
  if (!parsed.ok()) {
    WEFT_CHECK(parsed.status().code() == absl::StatusCode::kInvalidArgument) << parsed.status();
    WEFT_CHECK(!parsed.status().message().empty()) << "a refusal says nothing";
    return 0;
  }
  const std::string written = parsed->ToString();
  const absl::StatusOr<SocketAddress> again = SocketAddress::Parse(written);
  WEFT_CHECK(again.ok()) << written << ": " << again.status();
  WEFT_CHECK(*again == *parsed && again->port() == parsed->port() && again->family() == parsed->family()) << written;
  const absl::StatusOr<SocketAddress> from_kernel = SocketAddress::From(parsed->data(), parsed->size());
  WEFT_CHECK(from_kernel.ok() && *from_kernel == *parsed) << written;
  return 0;
}
