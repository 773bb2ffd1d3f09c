#include "examples/gateway/report.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "examples/gateway/gateway_server.h"
#include "examples/gateway/timeline.h"

namespace gateway {
namespace {

using nlohmann::json;

constexpr double kMaxOverSlowestMilliseconds = 50;
constexpr int kTimelineColumns = 70;

class Checks {
 public:
  void Add(std::string what, bool held, std::string found) {
    all_ = all_ && held;
    checks_.push_back({{"what", std::move(what)}, {"held", held}, {"found", std::move(found)}});
  }
  bool all() const { return all_; }
  json Take() { return std::move(checks_); }

 private:
  json checks_ = json::array();
  bool all_ = true;
};

// "users 1, orders 1, payments 0"
std::string ByService(const json& numbers) {
  std::string text;
  for (const char* service : kServiceNames) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", service, " ", numbers.value(service, int64_t{-1}));
  }
  return text;
}

bool AllAre(const json& numbers, int64_t users, int64_t orders, int64_t payments) {
  return numbers.value("users", int64_t{-1}) == users && numbers.value("orders", int64_t{-1}) == orders &&
         numbers.value("payments", int64_t{-1}) == payments;
}

bool AtMost(const json& numbers, int64_t limit) {
  for (const char* service : kServiceNames) {
    const int64_t number = numbers.value(service, int64_t{-1});
    if (number < 0 || number > limit) return false;
  }
  return true;
}

void JudgeParallelCalls(const json& parallel, Checks& checks) {
  const double slowest_ms = parallel["slowest_ms"];
  const double total_ms = parallel["total_ms"];
  checks.Add("twenty calls at once take at most 50 ms more than the slowest of them",
             parallel["calls"] == 20 && TookHardlyLonger(parallel),
             absl::StrFormat("slowest %.1f ms, all %.1f ms", slowest_ms, total_ms));
  const double fastest_ms = parallel["fastest_ms"];
  checks.Add("each call takes 700 to 1,400 ms, and the transport", fastest_ms >= 700 && slowest_ms >= 1'400,
             absl::StrFormat("%.1f to %.1f ms", fastest_ms, slowest_ms));
  checks.Add("virtual threads move while one of them computes", HasMoved(parallel),
             absl::StrCat(parallel["moves"].get<int64_t>(), " moves"));
}

void JudgeFanOut(const json& fan_out, Checks& checks) {
  const json& well = fan_out["well"];
  checks.Add("a user is put together from three services", well["status"] == 200,
             absl::StrCat("status ", well["status"].get<int>()));
  checks.Add("the request's scoped value reached all three calls", well["carries_context"] == true,
             well["answer"].dump());

  const json& failed = fan_out["failed"];
  const json& answer = failed["answer"];
  checks.Add("a service that fails is a 502 with the reason",
             failed["status"] == 502 && answer.value("error", "").starts_with("payments"), answer.value("error", ""));
  checks.Add("the other two calls were cancelled",
             answer["cancelled"].contains("users") && answer["cancelled"].contains("orders") &&
                 answer["cancelled"].size() == 2,
             answer["cancelled"].dump());
  checks.Add("the services counted the requests that were given up", AllAre(failed["aborted"], 1, 1, 0),
             ByService(failed["aborted"]));

  const json& late = fan_out["late"];
  checks.Add("a deadline is a 504, and cancels all three calls",
             late["status"] == 504 && AllAre(late["aborted"], 1, 1, 1),
             absl::StrCat("status ", late["status"].get<int>(), "; given up: ", ByService(late["aborted"])));
}

void JudgeInFlight(const json& run, int64_t requests, Checks& checks) {
  const int64_t at_once = run["in_flight_at_once"];
  const int64_t well = run["answered_well"];
  checks.Add(absl::StrCat(requests, " requests are in flight at once"), at_once >= requests, absl::StrCat(at_once));
  checks.Add("all of them are answered, and well", well == requests, absl::StrCat(well));
  checks.Add(absl::StrCat("a service sees at most ", kMaxUpstreamConnections, " connections of the gateway"),
             AtMost(run["upstream_connections_peak"], kMaxUpstreamConnections),
             ByService(run["upstream_connections_peak"]));
}

void AppendRun(std::string& text, const char* title, const json& run) {
  absl::StrAppendFormat(&text, "  %-26s %9d %9.2f %11.0f %9.1f %9.1f %8d %10d %13d\n", title,
                        run["requests"].get<int64_t>(), run["answered_s"].get<double>(),
                        run["requests_per_s"].get<double>(), run["p50_ms"].get<double>(), run["p99_ms"].get<double>(),
                        run["os_threads"].get<int64_t>(), run["rss_bytes_per_request"].get<int64_t>(),
                        run["kernel_stack_bytes_per_request"].get<int64_t>());
}

void AppendParallelCalls(std::string& text, const json& parallel) {
  absl::StrAppendFormat(&text, "1. Twenty calls at once: slowest %.1f ms, all %.1f ms; %d moves between %d carriers\n",
                        parallel["slowest_ms"].get<double>(), parallel["total_ms"].get<double>(),
                        parallel["moves"].get<int64_t>(), parallel["carriers"].get<int>());
  for (const std::string& line : Timeline::Draw(parallel["timeline"], kTimelineColumns))
    absl::StrAppend(&text, "  ", line, "\n");
}

void AppendFanOut(std::string& text, const json& fan_out) {
  absl::StrAppend(&text, "\n2. One request, three services\n");
  for (const char* part : {"well", "failed", "late"}) {
    const json& exchange = fan_out[part];
    const json& answer = exchange["answer"];
    absl::StrAppendFormat(&text, "  %s -> %d %s\n", exchange["request"].get<std::string>(),
                          exchange["status"].get<int>(),
                          answer.contains("error") ? answer["error"].get<std::string>() : answer.dump());
    if (!answer.contains("cancelled")) continue;
    for (const auto& [service, why] : answer["cancelled"].items()) {
      absl::StrAppendFormat(&text, "    the call to %s was cancelled: %s\n", service, why.get<std::string>());
    }
    absl::StrAppendFormat(&text, "    requests given up, as the services count them: %s\n",
                          ByService(exchange["aborted"]));
  }
}

void AppendInFlight(std::string& text, const json& report) {
  const json& run = report["in_flight"];
  const int64_t requests = run["requests"];
  absl::StrAppendFormat(&text, "\n3. %d requests in flight at once, each on a connection of its own\n", requests);
  if (report.contains("reduced")) absl::StrAppend(&text, "  ", report["reduced"].get<std::string>(), "\n");
  absl::StrAppendFormat(&text,
                        "  held by the services until all were in: %s; upstream connections at most: %s\n"
                        "  carriers used: %d; virtual threads in the gateway: %d; filled in %.2f s\n\n",
                        ByService(run["held"]), ByService(run["upstream_connections_peak"]), run["carriers"].get<int>(),
                        run["virtual_threads"].get<int64_t>(), run["filled_s"].get<double>());
  absl::StrAppendFormat(&text, "  %-26s %9s %9s %11s %9s %9s %8s %10s %13s\n", "from letting go", "requests", "seconds",
                        "requests/s", "p50 ms", "p99 ms", "threads", "RSS bytes", "kernel stack");
  absl::StrAppendFormat(&text, "  %-26s %9s %9s %11s %9s %9s %8s %10s %13s\n", "", "", "", "", "", "", "", "a request",
                        "a request");
  AppendRun(text, "virtual threads", run);
  const json& threaded = report["thread_per_connection"];
  if (threaded.contains("skipped")) {
    absl::StrAppend(&text, "  one OS thread a connection: ", threaded["skipped"].get<std::string>(), "\n");
    return;
  }
  AppendRun(text, "one OS thread a connection", threaded);
  if (threaded.contains("reduced")) absl::StrAppend(&text, "  ", threaded["reduced"].get<std::string>(), "\n");
}

}  // namespace

bool HasMoved(const json& parallel) { return parallel["moves"].get<int64_t>() >= 1; }

bool TookHardlyLonger(const json& parallel) {
  return parallel["total_ms"].get<double>() - parallel["slowest_ms"].get<double>() <= kMaxOverSlowestMilliseconds;
}

void Judge(json& report) {
  Checks checks;
  JudgeParallelCalls(report["parallel_calls"], checks);
  JudgeFanOut(report["fan_out"], checks);
  JudgeInFlight(report["in_flight"], report["in_flight"]["requests"], checks);
  for (const auto& [process, how] : report["drained"].items()) {
    checks.Add(absl::StrCat("SIGTERM drains the ", process, " process"), how == "OK", how.get<std::string>());
  }
  report["ok"] = checks.all();
  report["checks"] = checks.Take();
}

std::string ToText(const json& report) {
  std::string text =
      absl::StrFormat("Weft gateway: %d CPUs, %s, at most %d descriptors a process\n\n", report["cpus"].get<int>(),
                      report["io_backend"].get<std::string>(), report["descriptor_limit"].get<int64_t>());
  AppendParallelCalls(text, report["parallel_calls"]);
  AppendFanOut(text, report["fan_out"]);
  AppendInFlight(text, report);
  absl::StrAppend(&text, "\nWhat had to hold\n");
  for (const json& check : report["checks"]) {
    absl::StrAppendFormat(&text, "  %s  %s: %s\n", check["held"].get<bool>() ? "held  " : "FAILED",
                          check["what"].get<std::string>(), check["found"].get<std::string>());
  }
  return text;
}

}  // namespace gateway
