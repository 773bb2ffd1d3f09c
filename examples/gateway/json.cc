#include "examples/gateway/json.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace gateway {

using nlohmann::json;

absl::StatusOr<json> ParseJson(std::string_view text) {
  bool too_deep = false;
  // What it answers false to is not made.
  const auto look = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    return !too_deep;
  };
  json value = json::parse(text.begin(), text.end(), look, /*allow_exceptions=*/false);
  if (too_deep) return absl::DataLossError(absl::StrCat("JSON that is nested more than ", kMaxJsonDepth, " deep"));
  if (value.is_discarded()) return absl::DataLossError("something that is not JSON");
  return value;
}

std::string DumpJson(const json& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

}  // namespace gateway
