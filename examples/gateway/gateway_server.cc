#include "examples/gateway/gateway_server.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "examples/gateway/json_http.h"
#include "examples/gateway/machine.h"

namespace gateway {
namespace {

constexpr int64_t kDefaultTimeoutMilliseconds = 2'000;
constexpr int64_t kMaxTimeoutMilliseconds = 300'000;

constexpr size_t kDashboardCalls = 20;
constexpr int64_t kShortestCallMilliseconds = 700;
constexpr int64_t kLongestCallMilliseconds = 1'400;
constexpr absl::Duration kComputing = absl::Milliseconds(200);
// On a runtime of one carrier nobody else gets an answer meanwhile.
constexpr absl::Duration kMostComputing = absl::Seconds(1);

// What everything that is done for a request may want to know: bound once, inherited by every thread that the request
// forks.
struct RequestContext {
  std::string id;
};
weft::ScopedValue<RequestContext> kRequest;

absl::Duration TimeoutOf(const http::Request& request) {
  int64_t ms = kDefaultTimeoutMilliseconds;
  if (const std::string* wanted = request.headers.Find("X-Timeout-Ms")) ms = IdAfter(*wanted, "").value_or(ms);
  return absl::Milliseconds(std::min(ms, kMaxTimeoutMilliseconds));
}

}  // namespace

GatewayServer::GatewayServer(weft::Runtime& runtime, Timeline& timeline,
                             std::array<weft::net::SocketAddress, kServices> upstreams, http::ServerOptions options)
    : runtime_(runtime),
      timeline_(timeline),
      pools_{http::Pool(upstreams[0], {.max_connections = kMaxUpstreamConnections}),
             http::Pool(upstreams[1], {.max_connections = kMaxUpstreamConnections}),
             http::Pool(upstreams[2], {.max_connections = kMaxUpstreamConnections})},
      server_(options, [this](const http::Request& request) { return Handle(request); }) {}

weft::Task<http::Response> GatewayServer::Handle(const http::Request& request) {
  const std::string_view path = http::PathOf(request.target);
  if (request.method != "GET") co_return ErrorResponse(405, absl::StrCat(request.method, " is not served here"));
  if (const std::optional<int64_t> id = IdAfter(path, "/user/")) co_return co_await User(request, *id);
  if (path == "/dashboard") co_return co_await Dashboard();
  if (path == "/stats") co_return Stats();
  if (path == "/await" && http::QueryValue(request.target, "counter") == "in_flight") {
    co_return co_await AwaitCounter(in_flight_, request.target);
  }
  co_return ErrorResponse(404, "no such page; there are /user/{id}, /dashboard and /stats");
}

// ---- One user, three services.

weft::Task<http::Response> GatewayServer::User(const http::Request& request, int64_t id) {
  Counted in_flight(in_flight_);
  weft::ScopedBinding context(kRequest, RequestContext{absl::StrCat("r", ++next_request_)});
  const absl::Duration timeout = TimeoutOf(request);
  Cancelled cancelled;
  const std::optional<absl::StatusOr<nlohmann::json>> user =
      co_await weft::MoveOnAfter(timeout, LoadUser(id, cancelled));
  const bool late = !user.has_value();
  if (!late && user->ok()) co_return JsonResponse(200, **user);

  nlohmann::json answer = {{"request", kRequest.Get().id}, {"cancelled", nlohmann::json::object()}};
  answer["error"] = late ? absl::StrCat("not all services answered within ", absl::FormatDuration(timeout))
                         : std::string(user->status().message());
  for (size_t i = 0; i < kServices; ++i) {
    if (!cancelled[i].empty()) answer["cancelled"][kServiceNames[i]] = cancelled[i];
  }
  co_return JsonResponse(late ? 504 : 502, answer);
}

weft::Task<absl::StatusOr<nlohmann::json>> GatewayServer::LoadUser(int64_t id, Cancelled& cancelled) {
  weft::ShutdownOnFailure scope("fan-out");
  auto user = scope.Fork(LoadPart(0, id, cancelled[0]));
  auto orders = scope.Fork(LoadPart(1, id, cancelled[1]));
  auto payments = scope.Fork(LoadPart(2, id, cancelled[2]));
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;  // the first failure; the others were cancelled and have ended
  co_return nlohmann::json{
      {"request", kRequest.Get().id}, {"id", id}, {"user", *user}, {"orders", *orders}, {"payments", *payments}};
}

// Asks one service, and notes why if that is cancelled.
weft::Task<absl::StatusOr<nlohmann::json>> GatewayServer::LoadPart(size_t service, int64_t id, std::string& cancelled) {
  absl::StatusOr<nlohmann::json> part = co_await weft::CatchCancelled(AskService(service, id));
  if (const weft::CancelReason why = weft::ReasonOf(part.status())) cancelled = why.ToString();
  co_return part;
}

weft::Task<absl::StatusOr<nlohmann::json>> GatewayServer::AskService(size_t service, int64_t id) {
  http::Request request{.target = absl::StrCat("/", kServiceNames[service], "/", id)};
  request.headers.Add("X-Request-Id", kRequest.Get().id);
  request.headers.Add("X-Timeout-Ms", absl::StrCat(absl::ToInt64Milliseconds(weft::TimeLeft())));
  absl::StatusOr<nlohmann::json> part = co_await CallJson(pools_[service], request);
  if (part.ok()) co_return part;
  co_return absl::Status(
      part.status().code(),
      absl::StrCat(kServiceNames[service], " (", pools_[service].address().ToString(), "): ", part.status().message()));
}

// ---- Twenty calls, and a picture of them.

// Twenty calls, of which one computes when it has its answer. It holds its carrier meanwhile, so another that waits on
// the same carrier has to be resumed on a different one.
class GatewayServer::DashboardCalls {
 public:
  explicit DashboardCalls(GatewayServer& gateway) : gateway_(gateway) {}

  static int64_t Milliseconds(size_t call) {
    return kShortestCallMilliseconds + (kLongestCallMilliseconds - kShortestCallMilliseconds) *
                                           static_cast<int64_t>(call) / int64_t{kDashboardCalls - 1};
  }

  weft::Task<absl::Status> Run(size_t call) {
    calls_[call].thread = weft::VirtualThread::Current().id();
    const weft::MonotonicTime begin = weft::MonotonicNow();
    const http::Request request{.target = absl::StrCat("/work?ms=", Milliseconds(call))};
    absl::StatusOr<nlohmann::json> done = co_await CallJson(gateway_.pools_[call % kServices], request);
    calls_[call].took_ms = absl::ToDoubleMilliseconds(weft::MonotonicNow() - begin);
    calls_[call].answered = true;
    if (done.ok()) Compute(call);
    co_return done.status();
  }

  std::vector<double> took_ms() const {
    std::vector<double> all;
    for (const Call& call : calls_) all.push_back(call.took_ms);
    return all;
  }
  double computed_ms() const { return computed_ms_; }

 private:
  struct Call {
    std::atomic<uint64_t> thread = 0;
    std::atomic<bool> answered = false;
    double took_ms = 0;
  };

  // The first call that shares its carrier with a later one computes until that one has its answer: 20 calls on fewer
  // carriers, so there is one. The last call of all is left out, so that the total is not about computing.
  void Compute(size_t call) {
    const int carrier = weft::VirtualThread::Current().carrier();
    for (size_t later = call + 1; later + 1 < kDashboardCalls; ++later) {
      if (calls_[later].answered || gateway_.timeline_.LastCarrier(calls_[later].thread) != carrier) continue;
      if (!computing_.exchange(true)) ComputeUntil(calls_[later].answered);
      return;
    }
  }
  // No wait and no checkpoint; so it has to ask whether it is cancelled.
  void ComputeUntil(const std::atomic<bool>& answered) {
    const weft::MonotonicTime begin = weft::MonotonicNow();
    absl::Duration elapsed;
    while (elapsed < (answered ? kComputing : kMostComputing) && !weft::CancelRequested()) {
      for (uint64_t i = 0; i < 10'000; ++i) digest_ = (digest_ ^ i) * 1099511628211u;
      elapsed = weft::MonotonicNow() - begin;
    }
    computed_ms_ = absl::ToDoubleMilliseconds(elapsed);
  }

  GatewayServer& gateway_;
  std::array<Call, kDashboardCalls> calls_;
  std::atomic<bool> computing_ = false;
  volatile uint64_t digest_ = 14695981039346656037u;  // so that the computing is not optimised away
  double computed_ms_ = 0;
};

weft::Task<http::Response> GatewayServer::Dashboard() {
  struct Busy {
    Timeline& timeline;
    std::atomic<bool>& flag;
    ~Busy() {
      timeline.Abandon();  // on every path, the cancelled one included
      flag = false;
    }
  };
  if (dashboard_busy_.exchange(true)) co_return ErrorResponse(503, "a dashboard is being made; there is one timeline");
  Busy busy{timeline_, dashboard_busy_};

  const weft::RuntimeStats before = runtime_.Stats();
  DashboardCalls calls(*this);
  const weft::MonotonicTime begin = weft::MonotonicNow();
  timeline_.Start(absl::ToInt64Nanoseconds(begin.since_zero()));
  weft::ShutdownOnFailure scope("dashboard");
  for (size_t i = 0; i < kDashboardCalls; ++i) scope.Fork(calls.Run(i), {.name = absl::StrFormat("call-%02d", i)});
  absl::Status joined = co_await scope.Join();
  const weft::MonotonicTime end = weft::MonotonicNow();
  nlohmann::json timeline = timeline_.Stop(absl::ToInt64Nanoseconds(end.since_zero()));
  if (!joined.ok()) co_return ErrorResponse(502, std::string(joined.message()));

  const std::vector<double> took_ms = calls.took_ms();
  co_return JsonResponse(200, {{"calls", kDashboardCalls},
                               {"calls_ms", took_ms},
                               {"fastest_ms", *std::min_element(took_ms.begin(), took_ms.end())},
                               {"slowest_ms", *std::max_element(took_ms.begin(), took_ms.end())},
                               {"total_ms", absl::ToDoubleMilliseconds(end - begin)},
                               {"computing_ms", calls.computed_ms()},
                               {"moves", runtime_.Stats().moves - before.moves},
                               {"carriers", runtime_.parallelism()},
                               {"timeline", std::move(timeline)}});
}

http::Response GatewayServer::Stats() const {
  const weft::RuntimeStats stats = runtime_.Stats();
  const http::ServerCounters& counters = server_.counters();
  nlohmann::json upstreams;
  for (size_t i = 0; i < kServices; ++i) {
    const http::PoolStats pool = pools_[i].stats();
    upstreams[kServiceNames[i]] = {
        {"open", pool.open}, {"peak_open", pool.peak_open}, {"opened", pool.opened}, {"calls", pool.calls}};
  }
  return JsonResponse(200, {{"io_backend", std::string(runtime_.io_backend())},
                            {"carriers", stats.carriers},
                            {"virtual_threads", stats.threads_alive},
                            {"mounts", stats.mounts},
                            {"moves", stats.moves},
                            {"steals", stats.steals},
                            {"os_threads", OsThreads()},
                            {"rss_bytes", ResidentBytes()},
                            {"in_flight", in_flight_.value()},
                            {"in_flight_peak", in_flight_.peak()},
                            {"connections_open", counters.connections_open.load()},
                            {"connections_peak", counters.connections_peak.load()},
                            {"requests", counters.requests.load()},
                            {"aborted", counters.aborted.load()},
                            {"upstreams", std::move(upstreams)}});
}

}  // namespace gateway
