// Layer net. How do TcpListener and UnixListener accept?
//
// A template, and not a Task that others await: an accept is one frame.
#ifndef WEFT_LIB_NET_ACCEPT_FROM_H_
#define WEFT_LIB_NET_ACCEPT_FROM_H_

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/io/accept_retry.h"
#include "lib/io/open_descriptor.h"
#include "lib/net/socket_awaiters.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/unique_descriptor.h"
#include "weft/task.h"

namespace weft::internal {

// `make` makes the stream of an empty socket and the descriptor for it.
template <class Stream, class Awaiter = AcceptAwaiter>
Task<absl::StatusOr<Stream>> AcceptFrom(DescriptorRef listener, bool wait_when_exhausted,
                                        Stream (*make)(Socket socket, int fd) noexcept) {
  AcceptRetry retry(wait_when_exhausted);
  for (;;) {
    retry.BeginTry();
    // First, so that no connection is accepted without memory for it.
    Socket accepted = Socket::Empty();
    int32_t result = -ENOMEM;
    if (accepted) {
      result = co_await Awaiter(DescriptorUse(listener.get()));
    } else {
      co_await CheckpointAwaiter();
    }
    const bool was_shut_down = listener->was_shut_down();
    if (result >= 0 && !was_shut_down) co_return make(std::move(accepted), result);
    if (result >= 0) {  // from the backlog of a Unix listener, which outlives the shutdown
      io::UniqueDescriptor(result).Reset();
      continue;
    }
    // The kernel looks for a free descriptor before it looks at the listener.
    if (was_shut_down) result = -EBADF;
    switch (retry.After(-result)) {
      case AcceptRetry::Next::kTry:
        break;
      case AcceptRetry::Next::kPause:
        co_await retry.Pause();
        break;
      case AcceptRetry::Next::kFail:
        co_return SocketStatus(-result, "accept");
    }
  }
}

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_ACCEPT_FROM_H_
