// An open socket, and the awaiters of a read and a write of it.
#ifndef WEFT_INTERNAL_SOCKET_H_
#define WEFT_INTERNAL_SOCKET_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/operation.h"
#include "weft/internal/operation_awaiter.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/io/buffer.h"
#include "weft/net/socket_address.h"
#include "weft/task.h"

namespace weft::internal {

// The error of an operation on a socket as a status: ErrnoToStatus(), and a sentence for EBADF, which is
// net::IsClosed().
absl::Status SocketStatus(int error, absl::string_view what);

class Socket : public OwnedDescriptor {
 public:
  using OwnedDescriptor::OwnedDescriptor;
  static Socket Empty() noexcept { return Socket(OwnedDescriptor::Empty()); }

  // Any thread may call these at once. shutdown(2); 0, or the errno:
  int Shutdown(int how) const noexcept;
  absl::StatusOr<net::SocketAddress> LocalAddress() const;
  absl::StatusOr<net::SocketAddress> PeerAddress() const;

 private:
  explicit Socket(OwnedDescriptor descriptor) noexcept : OwnedDescriptor(std::move(descriptor)) {}
};

class ReceiveAwaiter : public OperationAwaiter {
 public:
  ReceiveAwaiter(DescriptorUse use, char* buffer, size_t length) noexcept
      : OperationAwaiter(IoRequest::Receive(buffer, length), std::move(use), kReceive) {}
};

// A Read() of a stream.
class [[nodiscard("co_await the read")]] ReadAwaiter : public ReceiveAwaiter,
                                                       public GivesWhenAwaited<absl::StatusOr<size_t>> {
 public:
  using ReceiveAwaiter::ReceiveAwaiter;
  absl::StatusOr<size_t> await_resume() const {
    const int32_t result = ReceiveAwaiter::await_resume();
    if (result < 0) return SocketStatus(-result, "read");
    return static_cast<size_t>(result);
  }
};

// A Write() of a stream. What the kernel takes at once needs no frame; a Task sends the rest. (lib/net/stream.cc)
class [[nodiscard("co_await the write")]] WriteAwaiter : public GivesWhenAwaited<absl::Status> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;

  WriteAwaiter(DescriptorUse use, ConstBuffer data) noexcept : use_(std::move(use)), left_(data) {}
  // Before it is awaited.
  WriteAwaiter(WriteAwaiter&& other) noexcept : WriteAwaiter(std::move(other.use_), other.left_) {}

  bool await_ready() const noexcept {
    may_go_on_ = AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame,
                                        std::source_location where = std::source_location::current()) {
    return Suspend({frame.promise(), where});
  }
  absl::Status await_resume();

 private:
  std::coroutine_handle<> Suspend(AwaitingFrame frame);
  void SendAtOnce() noexcept;
  Task<absl::Status> SendRest();

  DescriptorUse use_;
  ConstBuffer left_;
  int error_ = 0;
  mutable bool may_go_on_ = false;
  ResultSlot<absl::Status> rest_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SOCKET_H_
