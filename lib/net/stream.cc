#include "lib/net/stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/io/parts.h"
#include "lib/io/poll_call.h"
#include "lib/net/socket_awaiters.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/socket.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft::internal {

Task<absl::Status> FillFrom(DescriptorRef socket, MutableBuffer buffer) {
  do {
    const size_t wanted = std::min(buffer.size(), kMaxBytesAtOnce);
    const int32_t got = co_await ReceiveAwaiter(DescriptorUse(socket.get()), buffer.data(), wanted);
    if (got < 0) co_return SocketStatus(-got, "read");
    if (got == 0 && wanted > 0) {
      co_return absl::OutOfRangeError(absl::StrCat("the stream ended with ", buffer.size(), " bytes still to read"));
    }
    buffer.remove_prefix(static_cast<size_t>(got));
  } while (!buffer.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> SendAll(DescriptorRef socket, std::span<const ConstBuffer> parts) {
  Parts left(parts);
  do {
    const int32_t sent = co_await SendPartsAwaiter(DescriptorUse(socket.get()), left);
    if (sent < 0) co_return SocketStatus(-sent, "write");
    left.Skip(static_cast<size_t>(sent));
  } while (!left.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> SendAll(DescriptorRef socket, ConstBuffer data) {
  do {
    const size_t wanted = std::min(data.size(), kMaxBytesAtOnce);
    const int32_t sent = co_await SendAwaiter(DescriptorUse(socket.get()), data.data(), wanted);
    if (sent < 0) co_return SocketStatus(-sent, "write");
    data.remove_prefix(static_cast<size_t>(sent));
  } while (!data.empty());
  co_return absl::OkStatus();
}

Task<absl::Status> AwaitHangUp(DescriptorRef socket) {
  const int32_t result = co_await PollAwaiter(DescriptorUse(socket.get()), PollAwaiter::For::kHangUp);
  co_return SocketStatus(-result, "WaitHangUp()");
}

}  // namespace weft::internal
