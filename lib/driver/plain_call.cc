#include "lib/driver/plain_call.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <optional>

#include "lib/os/syscalls.h"

namespace weft::internal {
namespace {

// What a call has returned: its result, or -errno, or nothing if errno is one of the `errors` that mean "not yet".
template <class... Errors>
std::optional<int32_t> Answer(ssize_t result, Errors... errors) noexcept {
  if (result >= 0) return static_cast<int32_t>(result);
  const bool not_yet = ((errno == errors) || ...);
  return not_yet ? std::nullopt : std::optional(-errno);
}

std::optional<int32_t> Call(const IoRequest& request) noexcept {
  // Only the member of the code's own family is there.
  const auto& [buffer, bytes] = request.transfer;
  const auto& [address, length] = request.address;
  switch (request.code) {
    case IoRequest::Code::kReceive:
      return Answer(Sys().recv(request.fd, buffer, bytes, MSG_DONTWAIT), EAGAIN);
    case IoRequest::Code::kSend:
      return Answer(Sys().send(request.fd, buffer, bytes, MSG_DONTWAIT | MSG_NOSIGNAL), EAGAIN);
    case IoRequest::Code::kAccept:
      return Answer(Sys().accept4(request.fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC), EAGAIN);
    case IoRequest::Code::kConnect:
      // Its EAGAIN is an error: no port is free, or a backlog is full.
      return Answer(Sys().connect(request.fd, address, *length), EINPROGRESS, EALREADY);
    case IoRequest::Code::kCallWhenReadable:
    case IoRequest::Code::kCallWhenWritable:
    case IoRequest::Code::kCallWhenHungUp: {
      const int32_t result = request.call.make(request.fd, request.call.data);
      return result == -EAGAIN ? std::nullopt : std::optional(result);
    }
  }
  __builtin_unreachable();
}

}  // namespace

bool EndsByPlainCall(Operation& op) noexcept {
  std::optional<int32_t> answer;
  do {
    answer = Call(op.request);
  } while (answer == -EINTR);
  if (answer.has_value()) op.result = *answer;
  return answer.has_value();
}

}  // namespace weft::internal
