// A server of a part of Redis: commands.h says which. One virtual thread for each connection.
//
// Clients may send commands without waiting for the replies (pipelining). The replies come in the order of the
// commands, and leave together: they are sent when the last whole command that has arrived is done, or the buffer is
// full. A client that breaks the protocol, or a limit, gets an error that says so, and is disconnected.
#ifndef WEFT_EXAMPLES_REDIS_SERVER_H_
#define WEFT_EXAMPLES_REDIS_SERVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "examples/redis/resp.h"
#include "examples/redis/store.h"
#include "weft/weft.h"

namespace redis {

struct ServerOptions {
  Limits limits{};
  int64_t max_connections = 10'000;                  // more wait in the kernel's backlog
  absl::Duration idle_timeout = absl::Minutes(5);    // for the next command to arrive, whole
  absl::Duration write_timeout = absl::Seconds(10);  // for the replies to what has arrived to be taken
};

// Serves until it is cancelled, or accepting fails: that is the status. Cancelled, it ends well: a command that was
// executed is still answered, within the write timeout; a connection ends before its next one.
weft::Task<absl::Status> Serve(weft::net::TcpListener& listener, Store& store, ServerOptions options = {});

}  // namespace redis

#endif  // WEFT_EXAMPLES_REDIS_SERVER_H_
