#include "examples/gateway/service.h"

#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/gateway/json_http.h"
#include "examples/gateway/machine.h"
#include "nlohmann/json.hpp"

namespace gateway {
namespace {

constexpr int64_t kMaxWorkMilliseconds = 60'000;

// Counts a request as aborted unless it was answered: if it is cancelled, this destructor is all of it that still runs.
class Answered {
 public:
  explicit Answered(WatchedCounter& aborted) : aborted_(aborted) {}
  Answered(const Answered&) = delete;
  Answered& operator=(const Answered&) = delete;
  ~Answered() {
    if (!answered_) aborted_.Add(1);
  }
  void Set() { answered_ = true; }

 private:
  WatchedCounter& aborted_;
  bool answered_ = false;
};

}  // namespace

Service::Service(std::string name, http::ServerOptions options)
    : name_(std::move(name)),
      record_prefix_(absl::StrCat("/", name_, "/")),
      server_(options, [this](const http::Request& request) { return Handle(request); }) {
  gate_.Set();
}

weft::Task<http::Response> Service::Handle(const http::Request& request) {
  const std::string_view path = http::PathOf(request.target);
  if (request.method == "POST" && path == "/gate") co_return SetGate(request);
  if (request.method != "GET") co_return ErrorResponse(405, absl::StrCat(request.method, " is not served here"));
  if (const std::optional<int64_t> id = IdAfter(path, record_prefix_)) co_return co_await Record(request, *id);
  if (path == "/work") {
    const std::optional<int64_t> ms = NumberInQuery(request.target, "ms");
    if (!ms.has_value() || *ms > kMaxWorkMilliseconds)
      co_return ErrorResponse(400, "ms=0..60000 is missing in the query");
    co_await weft::Sleep(absl::Milliseconds(*ms));
    co_return JsonResponse(200, {{"service", name_}, {"ms", *ms}});
  }
  if (path == "/await") {
    const std::optional<std::string_view> counter = http::QueryValue(request.target, "counter");
    if (counter == "held") co_return co_await AwaitCounter(held_, request.target);
    if (counter == "aborted") co_return co_await AwaitCounter(aborted_, request.target);
    co_return ErrorResponse(400, "counter=held or counter=aborted is missing in the query");
  }
  if (path == "/stats") co_return Stats();
  co_return ErrorResponse(404, absl::StrCat("the ", name_, " service has no such page"));
}

weft::Task<http::Response> Service::Record(const http::Request& request, int64_t id) {
  Answered answered(aborted_);
  if (!gate_.IsSet()) {
    Counted held(held_);
    co_await gate_.Wait();
    if (fail_held_) {
      answered.Set();
      co_return ErrorResponse(500, absl::StrCat("the ", name_, " database is down"));
    }
  }
  answered.Set();
  const std::string* request_id = request.headers.Find("X-Request-Id");
  co_return JsonResponse(
      200,
      {{"service", name_}, {"id", id}, {"count", id % 10 + 1}, {"request", request_id == nullptr ? "" : *request_id}});
}

http::Response Service::SetGate(const http::Request& request) {
  const std::optional<std::string_view> state = http::QueryValue(request.target, "state");
  if (state == "closed") {
    fail_held_ = false;
    gate_.Reset();
  } else if (state == "open") {
    fail_held_ = http::QueryValue(request.target, "fail") == "1";
    gate_.Set();
  } else {
    return ErrorResponse(400, "state=open or state=closed is missing in the query");
  }
  return JsonResponse(200, {{"service", name_}, {"gate", std::string(*state)}});
}

http::Response Service::Stats() const {
  const http::ServerCounters& counters = server_.counters();
  return JsonResponse(200, {{"service", name_},
                            {"held", held_.value()},
                            {"held_peak", held_.peak()},
                            {"aborted", aborted_.value()},
                            {"requests", counters.requests.load()},
                            {"connections_open", counters.connections_open.load()},
                            {"connections_peak", counters.connections_peak.load()},
                            {"rss_bytes", ResidentBytes()}});
}

}  // namespace gateway
