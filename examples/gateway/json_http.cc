#include "examples/gateway/json_http.h"

#include <charconv>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "examples/gateway/json.h"

namespace gateway {
namespace {

constexpr absl::Duration kAwaitTimeout = absl::Minutes(1);
// Of an answer, in an error.
constexpr size_t kMaxQuotedBytes = 200;

std::optional<int64_t> ToNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

http::Response JsonResponse(int status, const nlohmann::json& body) {
  http::Response response{.status = status, .body = DumpJson(body) + "\n"};
  response.headers.Add("Content-Type", "application/json");
  return response;
}

http::Response ErrorResponse(int status, std::string_view what) {
  return JsonResponse(status, {{"error", std::string(what)}});
}

std::optional<int64_t> IdAfter(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  return ToNumber(path.substr(prefix.size()));
}

std::optional<int64_t> NumberInQuery(std::string_view target, std::string_view name) {
  const std::optional<std::string_view> value = http::QueryValue(target, name);
  return value.has_value() ? ToNumber(*value) : std::nullopt;
}

weft::Task<absl::StatusOr<nlohmann::json>> CallJson(http::Pool& pool, const http::Request& request) {
  absl::StatusOr<http::Response> response = co_await pool.Call(request);
  if (!response.ok()) co_return response.status();
  absl::StatusOr<nlohmann::json> body = ParseJson(response->body);
  if (response->status != 200) {
    const bool explained = body.ok() && body->is_object() && body->contains("error") && (*body)["error"].is_string();
    const std::string why = explained ? (*body)["error"].get<std::string>() : response->body;
    co_return absl::InternalError(absl::StrCat("answered ", response->status, ": ", why.substr(0, kMaxQuotedBytes)));
  }
  if (!body.ok()) co_return absl::DataLossError(absl::StrCat("answered with ", body.status().message()));
  co_return body;
}

weft::Task<http::Response> AwaitCounter(WatchedCounter& counter, std::string_view target) {
  const std::optional<int64_t> at_least = NumberInQuery(target, "at_least");
  if (!at_least.has_value()) co_return ErrorResponse(400, "at_least=N is missing in the query, or not a number");
  absl::Status reached = co_await weft::WithTimeout(kAwaitTimeout, counter.AtLeast(*at_least));
  if (!reached.ok()) co_return ErrorResponse(504, absl::StrCat("the counter is only at ", counter.value()));
  co_return JsonResponse(200, {{"value", counter.value()}});
}

}  // namespace gateway
