#include "examples/gateway/client.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/gateway/json.h"
#include "examples/gateway/json_http.h"
#include "examples/gateway/machine.h"
#include "examples/http/client.h"
#include "examples/http/message.h"

namespace gateway {
namespace {

using nlohmann::json;

constexpr const char* kTimeoutHeader = "X-Timeout-Ms";
// Long enough for services that hold their replies until everybody is in.
constexpr int kPatientMilliseconds = 240'000;
// Long enough for three requests to reach their services; then nobody answers.
constexpr int kImpatientMilliseconds = 5'000;
// Connecting at once: less than any backlog.
constexpr int64_t kConnectingAtOnce = 128;

// Where a request goes, and what a refusal says of it.
class Target {
 public:
  Target(std::string name, weft::net::SocketAddress address) : name_(std::move(name)), pool_(address) {}

  weft::Task<absl::StatusOr<json>> Get(std::string path) { return Ask({.target = std::move(path)}); }
  weft::Task<absl::StatusOr<json>> Get(std::string path, int timeout_ms) {
    return Ask(Limited(std::move(path), timeout_ms));
  }
  weft::Task<absl::StatusOr<json>> Post(std::string path) { return Ask({.method = "POST", .target = std::move(path)}); }
  // Any status: what it was, and the answer.
  weft::Task<absl::StatusOr<std::pair<int, json>>> GetAny(std::string path, int timeout_ms) {
    const http::Request request = Limited(std::move(path), timeout_ms);
    absl::StatusOr<http::Response> response = co_await pool_.Call(request);
    if (!response.ok()) co_return Explain(response.status());
    absl::StatusOr<json> answer = ParseJson(response->body);
    if (!answer.ok()) co_return Explain(answer.status());
    co_return std::pair(response->status, *std::move(answer));
  }

 private:
  static http::Request Limited(std::string path, int timeout_ms) {
    http::Request request{.target = std::move(path)};
    request.headers.Add(kTimeoutHeader, std::to_string(timeout_ms));
    return request;
  }
  weft::Task<absl::StatusOr<json>> Ask(http::Request request) {
    const std::string what = absl::StrCat(request.method, " ", request.target);
    absl::StatusOr<json> answer = co_await CallJson(pool_, request);
    if (answer.ok()) co_return answer;
    co_return Explain(absl::Status(answer.status().code(), absl::StrCat(what, ": ", answer.status().message())));
  }
  absl::Status Explain(const absl::Status& status) const {
    return absl::Status(status.code(), absl::StrCat(name_, ": ", status.message()));
  }

  const std::string name_;
  http::Pool pool_;
};

class Services {
 public:
  explicit Services(const Targets& targets)
      : targets_{Target(kServiceNames[0], targets.services[0]), Target(kServiceNames[1], targets.services[1]),
                 Target(kServiceNames[2], targets.services[2])} {}

  Target& operator[](size_t i) { return targets_[i]; }

  // Of all three at once; the answers by name.
  weft::Task<absl::StatusOr<json>> GetAll(std::string path) {
    auto all = co_await weft::All(targets_[0].Get(path), targets_[1].Get(path), targets_[2].Get(path));
    co_return ByName(std::move(all));
  }
  weft::Task<absl::StatusOr<json>> PostAll(std::string path) {
    auto all = co_await weft::All(targets_[0].Post(path), targets_[1].Post(path), targets_[2].Post(path));
    co_return ByName(std::move(all));
  }

 private:
  static absl::StatusOr<json> ByName(absl::StatusOr<std::tuple<json, json, json>> all) {
    if (!all.ok()) return all.status();
    return json{{kServiceNames[0], std::get<0>(*all)},
                {kServiceNames[1], std::get<1>(*all)},
                {kServiceNames[2], std::get<2>(*all)}};
  }

  std::array<Target, kServices> targets_;
};

// One column of every service's answer: {"users": 1, "orders": 1, "payments": 0}.
json Column(const json& by_service, const char* name) {
  json column;
  for (const char* service : kServiceNames) column[service] = by_service[service][name];
  return column;
}

double Percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const double index = percent / 100 * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(index + 0.5)];
}

}  // namespace

weft::Task<absl::StatusOr<json>> MeasureParallelCalls(Targets targets) {
  Target gateway("gateway", targets.gateway);
  co_return co_await gateway.Get("/dashboard");
}

// ---- One user, three services.

namespace {

// What a GET of a user gave, as the report shows it.
json Exchange(const std::string& path, const std::pair<int, json>& answer) {
  return {{"request", "GET " + path}, {"status", answer.first}, {"answer", answer.second}};
}

// Every part bears the id that the gateway bound for the whole request.
bool CarriesContext(const json& answer) {
  if (!answer.is_object() || !answer.contains("request")) return false;
  for (const char* part : {"user", "orders", "payments"}) {
    if (!answer.contains(part) || !answer[part].is_object()) return false;
    if (!answer[part].contains("request") || answer[part]["request"] != answer["request"]) return false;
  }
  return true;
}

weft::Task<absl::StatusOr<json>> FanOutThatFails(Target& gateway, Services& services) {
  const std::string path = "/user/13";
  if (auto closed = co_await services.PostAll("/gate?state=closed"); !closed.ok()) co_return closed.status();
  weft::ShutdownOnFailure scope("fan-out that fails");
  auto answer = scope.Fork(gateway.GetAny(path, kPatientMilliseconds));
  auto driver = scope.Fork([&]() -> weft::Task<absl::StatusOr<json>> {
    // All three services hold a request; now one of them fails.
    auto held = co_await services.GetAll("/await?counter=held&at_least=1");
    if (!held.ok()) co_return held.status();
    co_return co_await services[2].Post("/gate?state=open&fail=1");
  });
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  // The others' connections have been closed; they find out in their own time.
  auto noticed = co_await weft::All(services[0].Get("/await?counter=aborted&at_least=1"),
                                    services[1].Get("/await?counter=aborted&at_least=1"));
  if (!noticed.ok()) co_return noticed.status();
  auto stats = co_await services.GetAll("/stats");
  if (!stats.ok()) co_return stats.status();
  if (auto open = co_await services.PostAll("/gate?state=open"); !open.ok()) co_return open.status();
  json result = Exchange(path, *answer);
  result["aborted"] = Column(*stats, "aborted");
  co_return result;
}

weft::Task<absl::StatusOr<json>> FanOutThatIsLate(Target& gateway, Services& services, json aborted_before) {
  const std::string path = "/user/14";
  if (auto closed = co_await services.PostAll("/gate?state=closed"); !closed.ok()) co_return closed.status();
  auto answer = co_await gateway.GetAny(path, kImpatientMilliseconds);
  if (!answer.ok()) co_return answer.status();
  for (size_t i = 0; i < kServices; ++i) {
    const int64_t at_least = aborted_before[kServiceNames[i]].get<int64_t>() + 1;
    auto noticed = co_await services[i].Get(absl::StrCat("/await?counter=aborted&at_least=", at_least));
    if (!noticed.ok()) co_return noticed.status();
  }
  auto stats = co_await services.GetAll("/stats");
  if (!stats.ok()) co_return stats.status();
  if (auto open = co_await services.PostAll("/gate?state=open"); !open.ok()) co_return open.status();
  json result = Exchange(path, *answer);
  result["timeout_ms"] = kImpatientMilliseconds;
  for (const char* service : kServiceNames) {
    result["aborted"][service] = (*stats)[service]["aborted"].get<int64_t>() - aborted_before[service].get<int64_t>();
  }
  co_return result;
}

}  // namespace

weft::Task<absl::StatusOr<json>> MeasureFanOut(Targets targets) {
  Target gateway("gateway", targets.gateway);
  Services services(targets);
  const std::string path = "/user/7";
  auto well = co_await gateway.GetAny(path, kPatientMilliseconds);
  if (!well.ok()) co_return well.status();
  auto failed = co_await FanOutThatFails(gateway, services);
  if (!failed.ok()) co_return failed.status();
  auto late = co_await FanOutThatIsLate(gateway, services, (*failed)["aborted"]);
  if (!late.ok()) co_return late.status();
  json result = {{"well", Exchange(path, *well)}, {"failed", *failed}, {"late", *late}};
  result["well"]["carries_context"] = CarriesContext(well->second);
  co_return result;
}

// ---- Many at once.

namespace {

struct InFlight {
  weft::net::SocketAddress gateway;
  weft::Semaphore connecting{kConnectingAtOnce};
  // Written by one thread each, read after the join.
  std::vector<weft::MonotonicTime> answered_at;
  std::vector<uint8_t> answered_well;
};

weft::Task<absl::Status> CallOnce(InFlight& all, size_t i) {
  weft::Permit permit = co_await all.connecting.Acquire();
  absl::StatusOr<http::ClientConnection> connection = co_await http::ClientConnection::Connect(all.gateway);
  if (!connection.ok()) co_return connection.status();
  permit.Release();
  http::Request request{.target = absl::StrCat("/user/", i)};
  request.headers.Add(kTimeoutHeader, std::to_string(kPatientMilliseconds));
  absl::StatusOr<http::Response> response = co_await connection->Call(request);
  all.answered_at[i] = weft::MonotonicNow();
  if (!response.ok()) co_return response.status();
  if (response->status != 200) {
    co_return absl::InternalError(
        absl::StrCat("GET /user/", i, " was answered ", response->status, ": ", response->body));
  }
  const absl::StatusOr<json> answer = ParseJson(response->body);
  if (!answer.ok()) co_return answer.status();
  all.answered_well[i] = CarriesContext(*answer) && answer->value("id", int64_t{-1}) == static_cast<int64_t>(i);
  co_return absl::OkStatus();
}

// What is to be seen while all requests are in flight.
struct Held {
  json gateway;
  json services;
  int64_t client_rss_bytes = 0;
  int64_t kernel_stack_bytes = 0;
  weft::MonotonicTime released_at;
};

weft::Task<absl::StatusOr<Held>> HoldAndRelease(Target& gateway, Services& services, int64_t requests) {
  Held held;
  auto in = co_await gateway.Get(absl::StrCat("/await?counter=in_flight&at_least=", requests));
  if (!in.ok()) co_return in.status();
  const int64_t held_each = std::min(requests, kMaxUpstreamConnections);
  auto full = co_await services.GetAll(absl::StrCat("/await?counter=held&at_least=", held_each));
  if (!full.ok()) co_return full.status();
  auto gateway_stats = co_await gateway.Get("/stats");
  if (!gateway_stats.ok()) co_return gateway_stats.status();
  auto service_stats = co_await services.GetAll("/stats");
  if (!service_stats.ok()) co_return service_stats.status();
  held.gateway = *std::move(gateway_stats);
  held.services = *std::move(service_stats);
  held.client_rss_bytes = ResidentBytes();
  held.kernel_stack_bytes = KernelStackBytes();
  held.released_at = weft::MonotonicNow();
  if (auto open = co_await services.PostAll("/gate?state=open"); !open.ok()) co_return open.status();
  co_return held;
}

}  // namespace

weft::Task<absl::StatusOr<json>> MeasureInFlight(Targets targets, int64_t requests) {
  Target gateway("gateway", targets.gateway);
  Services services(targets);
  if (auto warm = co_await gateway.Get("/user/1", kPatientMilliseconds); !warm.ok()) co_return warm.status();
  auto before = co_await gateway.Get("/stats");
  if (!before.ok()) co_return before.status();
  const int64_t client_rss_before = ResidentBytes();
  const int64_t kernel_stack_before = KernelStackBytes();
  if (auto closed = co_await services.PostAll("/gate?state=closed"); !closed.ok()) co_return closed.status();

  InFlight all{.gateway = targets.gateway,
               .answered_at = std::vector<weft::MonotonicTime>(static_cast<size_t>(requests)),
               .answered_well = std::vector<uint8_t>(static_cast<size_t>(requests))};
  const weft::MonotonicTime begun_at = weft::MonotonicNow();
  std::optional<Held> held;
  weft::MonotonicTime ended_at;
  {
    weft::ShutdownOnFailure scope("requests");  // the first that fails ends the measurement
    auto driver = scope.Fork(HoldAndRelease(gateway, services, requests));
    for (size_t i = 0; i < static_cast<size_t>(requests); ++i) scope.Fork(CallOnce(all, i));
    absl::Status joined = co_await scope.Join();
    if (!joined.ok()) co_return joined;
    held = std::move(driver).get();
    ended_at = *std::max_element(all.answered_at.begin(), all.answered_at.end());
  }
  auto after = co_await gateway.Get("/stats");
  if (!after.ok()) co_return after.status();

  std::vector<double> latencies_ms;
  for (weft::MonotonicTime at : all.answered_at) {
    latencies_ms.push_back(absl::ToDoubleMilliseconds(at - held->released_at));
  }
  std::sort(latencies_ms.begin(), latencies_ms.end());
  const double seconds = absl::ToDoubleSeconds(ended_at - held->released_at);
  const auto per_request = [&](int64_t bytes) { return bytes / requests; };
  json result = {
      {"requests", requests},
      {"in_flight_at_once", held->gateway["in_flight"]},
      {"answered_well", std::count(all.answered_well.begin(), all.answered_well.end(), 1)},
      {"filled_s", absl::ToDoubleSeconds(held->released_at - begun_at)},
      {"answered_s", seconds},
      {"requests_per_s", static_cast<double>(requests) / seconds},
      {"p50_ms", Percentile(latencies_ms, 50)},
      {"p99_ms", Percentile(latencies_ms, 99)},
      {"held", Column(held->services, "held")},
      {"service_connections", Column(held->services, "connections_open")},
      {"os_threads", held->gateway["os_threads"]},
      {"rss_bytes_per_request",
       per_request(held->gateway["rss_bytes"].get<int64_t>() - (*before)["rss_bytes"].get<int64_t>())},
      // Of the whole machine: others may have ended threads meanwhile.
      {"kernel_stack_bytes_per_request",
       per_request(std::max<int64_t>(held->kernel_stack_bytes - kernel_stack_before, 0))},
      {"client_rss_bytes_per_request", per_request(held->client_rss_bytes - client_rss_before)},
  };
  if (held->gateway.contains("carriers")) {
    result["carriers"] = (*after)["carriers"];
    result["virtual_threads"] = held->gateway["virtual_threads"];
    for (const char* service : kServiceNames) {
      result["upstream_connections_peak"][service] = (*after)["upstreams"][service]["peak_open"];
      result["upstream_connections_kept"][service] = (*after)["upstreams"][service]["open"];
    }
  }
  co_return result;
}

}  // namespace gateway
