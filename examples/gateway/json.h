// JSON from and to other programs. Neither direction may end this program.
#ifndef WEFT_EXAMPLES_GATEWAY_JSON_H_
#define WEFT_EXAMPLES_GATEWAY_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace gateway {

// Copying, comparing and writing a value call themselves for what is inside it: a hundred thousand brackets, which are
// easily sent, would be the end of the stack.
inline constexpr int kMaxJsonDepth = 64;

// kDataLoss: what is not JSON, bytes that are not UTF-8 in its strings, and what is nested deeper than kMaxJsonDepth.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text);

// In one line, or indented. Bytes that are not UTF-8, which a string may have from anywhere, are written as U+FFFD.
std::string DumpJson(const nlohmann::json& value, int indent = -1);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_JSON_H_
