#include "lib/net/stream.h"

#include <algorithm>
#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/driver/kernel_order.h"
#include "lib/driver/plain_call.h"
#include "lib/io/open_descriptor.h"
#include "lib/io/parts.h"
#include "lib/io/poll_call.h"
#include "lib/net/socket_awaiters.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/socket.h"
#include "weft/internal/wait.h"
#include "weft/internal/wait_kind.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace weft::internal {

Task<absl::Status> FillFrom(DescriptorRef socket, MutableBuffer buffer) {
  for (bool first = true; first || !buffer.empty(); first = false) {
    const size_t wanted = std::min(buffer.size(), kMaxBytesAtOnce);
    const int32_t got = co_await ReceiveAwaiter(DescriptorUse(socket.get()), buffer.data(), wanted);
    if (got < 0) co_return SocketStatus(-got, "read");
    if (got == 0 && wanted > 0 && first) co_return io::EndOfStreamError("ReadExactly()");
    if (got == 0 && wanted > 0) {
      co_return absl::OutOfRangeError(absl::StrCat("the stream ended with ", buffer.size(), " bytes still to read"));
    }
    buffer.remove_prefix(static_cast<size_t>(got));
  }
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

namespace {

// Nobody is parked in it.
constinit const WaitKind kSendAtOnce = {ParkReason::kSend, /*timed=*/false, &WaitKind::NotWithdrawn};

}  // namespace

std::coroutine_handle<> WriteAwaiter::Suspend(AwaitingFrame frame) {
  if (!EnterWait(frame, kSendAtOnce, nullptr)) return std::noop_coroutine();
  SendAtOnce();
  if (error_ == 0 && !left_.empty()) {
    GoOnInstead();
    return TaskAccess::Release(SendRest(), rest_, frame.frame, "Write()").Handle();
  }
  use_.Leave();
  if (may_go_on_) {
    GoOnInstead();
    return frame.frame.Handle();
  }
  YieldInstead();
  return std::noop_coroutine();
}

void WriteAwaiter::SendAtOnce() noexcept {
  if (!use_ || use_->closing()) {
    error_ = EBADF;
    return;
  }
  use_->Attach(ParkReason::kSend);
  if (left_.empty()) return;
  Operation send(IoRequest::Send(left_.data(), std::min(left_.size(), kMaxBytesAtOnce)));
  send.request.fd = use_->fd();
  AnnounceStart(send);
  if (!EndsByPlainCall(send)) return;
  if (send.result < 0) {
    error_ = -send.result;
  } else {
    left_.remove_prefix(static_cast<size_t>(send.result));
  }
}

// It goes on also if the stream is destroyed, so it has a reference.
Task<absl::Status> WriteAwaiter::SendRest() {
  use_->AddRef();
  DescriptorRef socket(use_.operator->());
  use_.Leave();
  return SendAll(std::move(socket), left_);
}

absl::Status WriteAwaiter::await_resume() {
  if (error_ != 0) return SocketStatus(error_, "write");
  return left_.empty() ? absl::OkStatus() : rest_.Take();
}

Task<absl::Status> AwaitHangUp(DescriptorRef socket) {
  const int32_t result = co_await PollAwaiter(DescriptorUse(socket.get()), PollAwaiter::For::kHangUp);
  co_return SocketStatus(-result, "WaitHangUp()");
}

}  // namespace weft::internal
