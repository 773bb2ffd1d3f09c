// ParseCommand() of any bytes: a command lies in them; each of its beginnings asks for more, and never for more than
// there is; what is wrong is said.
#include <algorithm>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/redis/resp.h"
#include "tests/fuzz/fuzz.h"
#include "weft/internal/check.h"

namespace {

// Small, so that they are reached.
constexpr redis::Limits kLimits = {.max_arguments = 8, .max_line_bytes = 64, .max_command_bytes = 512};

void CheckBeginnings(std::string_view command) {
  redis::Arguments arguments;
  for (size_t size = 0; size < command.size(); ++size) {
    const absl::StatusOr<redis::Parsed> parsed = redis::ParseCommand(command.substr(0, size), kLimits, arguments);
    WEFT_CHECK(parsed.ok()) << "the first " << size << " bytes of a command: " << parsed.status();
    WEFT_CHECK(!parsed->whole) << "the first " << size << " bytes of a command are one";
    WEFT_CHECK(parsed->bytes > size && parsed->bytes <= command.size())
        << parsed->bytes << " are wanted of " << command.size() << ", of which " << size << " are there";
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  redis::Arguments arguments;
  while (!bytes.empty()) {
    const absl::StatusOr<redis::Parsed> parsed = redis::ParseCommand(bytes, kLimits, arguments);
    if (!parsed.ok()) {
      WEFT_CHECK(parsed.status().code() == absl::StatusCode::kInvalidArgument) << parsed.status();
      return 0;
    }
    if (!parsed->whole) {
      WEFT_CHECK(parsed->bytes > bytes.size()) << parsed->bytes << " are wanted, " << bytes.size() << " are there";
      return 0;
    }
    WEFT_CHECK(parsed->bytes > 0 && parsed->bytes <= bytes.size()) << parsed->bytes;
    const std::string_view command = bytes.substr(0, parsed->bytes);
    WEFT_CHECK(arguments.size() <= kLimits.max_arguments) << arguments.size();
    for (const std::string_view each : arguments) {
      WEFT_CHECK(each.empty() ||
                 (each.data() >= command.data() && each.data() + each.size() <= command.data() + command.size()))
          << "an argument lies outside of its command";
    }
    CheckBeginnings(command);
    bytes.remove_prefix(parsed->bytes);
  }
  return 0;
}
