// The client: drives the gateway and the services through the main job, and measures.
#ifndef WEFT_EXAMPLES_GATEWAY_CLIENT_H_
#define WEFT_EXAMPLES_GATEWAY_CLIENT_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "examples/gateway/gateway_server.h"
#include "nlohmann/json.hpp"
#include "weft/weft.h"

namespace gateway {

struct Targets {
  weft::net::SocketAddress gateway;
  std::array<weft::net::SocketAddress, kServices> services;
};

// GET /dashboard, as it is answered.
weft::Task<absl::StatusOr<nlohmann::json>> MeasureParallelCalls(Targets targets);

// GET /user/{id} three times: all goes well; payments fails while the others work; nobody answers in time.
weft::Task<absl::StatusOr<nlohmann::json>> MeasureFanOut(Targets targets);

// `requests` of GET /user/{id} at once, each on a connection of its own. The services hold what reaches them, at most
// kMaxUpstreamConnections each, until all requests are in flight in the gateway; then they let go.
weft::Task<absl::StatusOr<nlohmann::json>> MeasureInFlight(Targets targets, int64_t requests);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_CLIENT_H_
