// The gateway's main job with one OS thread per connection and blocking calls, to be measured beside GatewayServer. It
// answers GET /user/{id}, /await and /stats like GatewayServer, but has no time limits and no cancellation.
#ifndef WEFT_EXAMPLES_GATEWAY_THREADED_SERVER_H_
#define WEFT_EXAMPLES_GATEWAY_THREADED_SERVER_H_

#include <array>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "examples/gateway/gateway_server.h"
#include "weft/weft.h"

namespace gateway {

// Listens on a loopback port of the kernel's choosing, announces it, and serves until SIGTERM or SIGINT, which have
// to be blocked in the calling thread. Returns when the clients have closed all connections; a second one ends the
// process.
absl::Status ServeThreaded(std::array<weft::net::SocketAddress, kServices> upstreams,
                           const std::function<void(uint16_t port)>& announce);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_THREADED_SERVER_H_
