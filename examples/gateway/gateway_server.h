// The gateway: one request from outside becomes several to the services behind.
//
//   GET /user/7        asks users, orders and payments at once. X-Timeout-Ms: how long it may take (2,000 unless said
//   otherwise).
//                      502 if one of them fails, and then the other two are cancelled; 504 if the time is up
//   GET /dashboard     twenty calls of 700 to 1,400 ms at once, and a timeline of the virtual threads that made them
//   GET /await?counter=in_flight&at_least=N    answers when so many requests for /user/ are in flight at once
//   GET /stats
#ifndef WEFT_EXAMPLES_GATEWAY_GATEWAY_SERVER_H_
#define WEFT_EXAMPLES_GATEWAY_GATEWAY_SERVER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/gateway/timeline.h"
#include "examples/gateway/watched_counter.h"
#include "examples/http/client.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "nlohmann/json.hpp"
#include "weft/weft.h"

namespace gateway {

inline constexpr size_t kServices = 3;
inline constexpr std::array<const char*, kServices> kServiceNames = {"users", "orders", "payments"};

// Connections to one service at most, in use and kept alive together; further calls wait for one.
inline constexpr int64_t kMaxUpstreamConnections = 256;

class GatewayServer {
 public:
  // `upstreams` in the order of kServiceNames. `timeline` is the observer of `runtime`.
  GatewayServer(weft::Runtime& runtime, Timeline& timeline, std::array<weft::net::SocketAddress, kServices> upstreams,
                http::ServerOptions options);

  // Until `stop` is set; then drains.
  weft::Task<absl::Status> Serve(weft::net::TcpListener& listener, weft::Event& stop) {
    return server_.Serve(listener, stop);
  }
  // Any thread.
  void EndDrain() { server_.EndDrain(); }

 private:
  class DashboardCalls;

  // Why each service's part of a request was cancelled; empty: it was not.
  using Cancelled = std::array<std::string, kServices>;

  weft::Task<http::Response> Handle(const http::Request& request);
  weft::Task<http::Response> User(const http::Request& request, int64_t id);
  weft::Task<absl::StatusOr<nlohmann::json>> LoadUser(int64_t id, Cancelled& cancelled);
  weft::Task<absl::StatusOr<nlohmann::json>> LoadPart(size_t service, int64_t id, std::string& cancelled);
  weft::Task<absl::StatusOr<nlohmann::json>> AskService(size_t service, int64_t id);
  weft::Task<http::Response> Dashboard();
  http::Response Stats() const;

  weft::Runtime& runtime_;
  Timeline& timeline_;
  std::array<http::Pool, kServices> pools_;
  http::Server server_;
  std::atomic<int64_t> next_request_ = 0;
  std::atomic<bool> dashboard_busy_ = false;
  WatchedCounter in_flight_;
};

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_GATEWAY_SERVER_H_
