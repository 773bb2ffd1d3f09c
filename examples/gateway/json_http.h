// JSON over http::Request and http::Response.
#ifndef WEFT_EXAMPLES_GATEWAY_JSON_HTTP_H_
#define WEFT_EXAMPLES_GATEWAY_JSON_HTTP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/gateway/watched_counter.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "nlohmann/json.hpp"
#include "weft/weft.h"

namespace gateway {

http::Response JsonResponse(int status, const nlohmann::json& body);
// {"error": what}
http::Response ErrorResponse(int status, std::string_view what);

// The number after `prefix` in a path: 7 of "/user/7". Nothing if that is not all there is.
std::optional<int64_t> IdAfter(std::string_view path, std::string_view prefix);
// A number in the query: 700 of "?ms=700".
std::optional<int64_t> NumberInQuery(std::string_view target, std::string_view name);

// The answer to `request`, which outlives the call. A status other than 200 is an error that quotes the beginning of
// the answer; kDataLoss, as of ParseJson().
weft::Task<absl::StatusOr<nlohmann::json>> CallJson(http::Pool& pool, const http::Request& request);

// Answers GET /await?at_least=N: waits, a minute at most, until `counter` is that much.
weft::Task<http::Response> AwaitCounter(WatchedCounter& counter, std::string_view target);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_JSON_HTTP_H_
