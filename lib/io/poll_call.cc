#include "lib/io/poll_call.h"

#include <poll.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "lib/os/syscalls.h"
#include "weft/internal/operation.h"

namespace weft::internal {
namespace {

template <short kEvents>
int32_t Poll(int fd, void*) noexcept {
  pollfd wanted = {.fd = fd, .events = kEvents, .revents = 0};
  const int count = Sys().poll(&wanted, 1, 0);
  if (count < 0) return -errno;
  if (count == 0) return -EAGAIN;
  return (wanted.revents & POLLNVAL) != 0 ? -EBADF : 0;
}

IoRequest RequestFor(PollAwaiter::For wanted) noexcept {
  switch (wanted) {
    case PollAwaiter::For::kReadable:
    case PollAwaiter::For::kProcessEnd:
      return IoRequest::CallWhenReadable({&Poll<POLLIN>, nullptr});
    case PollAwaiter::For::kWritable:
      return IoRequest::CallWhenWritable({&Poll<POLLOUT>, nullptr});
    case PollAwaiter::For::kHangUp:
      return IoRequest::CallWhenHungUp({&Poll<POLLRDHUP>, nullptr});
  }
  __builtin_unreachable();
}

}  // namespace

const WaitKind PollAwaiter::kReadable = {ParkReason::kReadable, /*timed=*/false, &PollAwaiter::Withdraw};
const WaitKind PollAwaiter::kWritable = {ParkReason::kWritable, /*timed=*/false, &PollAwaiter::Withdraw};
const WaitKind PollAwaiter::kHangUp = {ParkReason::kHangUp, /*timed=*/false, &PollAwaiter::Withdraw};
const WaitKind PollAwaiter::kProcessEnd = {ParkReason::kProcessEnd, /*timed=*/false, &PollAwaiter::Withdraw};

const WaitKind& PollAwaiter::KindOf(For wanted) noexcept {
  switch (wanted) {
    case For::kReadable:
      return kReadable;
    case For::kWritable:
      return kWritable;
    case For::kHangUp:
      return kHangUp;
    case For::kProcessEnd:
      return kProcessEnd;
  }
  __builtin_unreachable();
}

PollAwaiter::PollAwaiter(DescriptorUse use, For wanted) noexcept
    : CallAwaiter(RequestFor(wanted), std::move(use), KindOf(wanted)) {}

int32_t PollAwaiter::Now(int fd, For wanted) noexcept {
  int32_t result;
  do {
    result = RequestFor(wanted).call.make(fd, nullptr);
  } while (result == -EINTR);
  return result;
}

}  // namespace weft::internal
