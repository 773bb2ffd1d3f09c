// An open socket, and the awaiter of one operation on it.
#ifndef WEFT_INTERNAL_SOCKET_H_
#define WEFT_INTERNAL_SOCKET_H_

#include "weft/internal/compiler.h"

#include <sys/socket.h>

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
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

// The error of an operation on a socket as a status: ErrnoToStatus(), and a sentence for EBADF, which is
// net::IsClosed().
absl::Status SocketStatus(int error, absl::string_view what);

// Owns a socket. The destructor closes it, and so does a move of another one onto it. Pending operations end then; they
// keep their own references. Moved from: has none.
class Socket {
 public:
  Socket() noexcept = default;
  // Room for a socket that is still to come: Open(). Null: no memory.
  static Socket Empty() noexcept;
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&& other) noexcept {
    if (this == &other) return *this;
    Close();
    descriptor_ = std::move(other.descriptor_);
    return *this;
  }
  ~Socket() { Close(); }

  // False: moved from, or Empty() failed.
  explicit operator bool() const noexcept { return static_cast<bool>(descriptor_); }
  void Open(int fd) noexcept;

  // Any thread may call these at once.
  bool is_open() const noexcept;
  void Close() noexcept;
  // Its number; -1: closed, or moved from. The caller must make sure that no thread closes it meanwhile.
  int native_handle() const noexcept;
  // For callers that go on after this object is gone. CHECKs that it was not moved from.
  DescriptorRef Share(const char* what) const noexcept;
  // Same, for one operation. Empty if the socket is closed.
  DescriptorUse Use(const char* what) const noexcept;
  // shutdown(2).
  absl::Status Shutdown(int how, absl::string_view what) const;
  absl::StatusOr<net::SocketAddress> LocalAddress() const;
  absl::StatusOr<net::SocketAddress> PeerAddress() const;

 private:
  explicit Socket(OpenDescriptor* adopted) noexcept : descriptor_(adopted) {}

  DescriptorRef descriptor_;
};

// Awaits one operation. A cancelled one is awaited to its end, so its buffer may lie in the awaiting frame. On a
// descriptor that is closed, before or meanwhile, it ends with EBADF.
class [[nodiscard("co_await the operation")]] OperationAwaiter {
 public:
  using WeftAwaitable = void;

  // Before it is awaited.
  OperationAwaiter(OperationAwaiter&& other) noexcept
      : OperationAwaiter(other.operation_.request, std::move(other.operation_.use), other.kind_) {}

  bool await_ready() const noexcept {
    may_go_on_ = AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    return Suspend({frame.promise(), where});
  }
  // As Operation::result.
  int32_t await_resume() const noexcept { return operation_.result; }

 protected:
  OperationAwaiter(const IoRequest& request, DescriptorUse use, const WaitKind& kind) noexcept
      : kind_(kind), operation_(request, std::move(use)) {}
  // Before it is awaited.
  IoRequest& request() noexcept { return operation_.request; }

  static const WaitKind kReceive, kSend, kAccept, kConnect;

 private:
  struct Pending : Operation {
    Pending(const IoRequest& request, DescriptorUse used) noexcept : Operation(request), use(std::move(used)) {}

    DescriptorUse use;  // until it has ended
    ThreadBlock* thread = nullptr;
  };

  bool Suspend(AwaitingFrame frame) noexcept;
  bool Start() noexcept;
  static void Complete(Operation& operation) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;

  const WaitKind& kind_;
  Pending operation_;
  mutable bool may_go_on_ = false;
};

class ReceiveAwaiter : public OperationAwaiter {
 public:
  ReceiveAwaiter(DescriptorUse use, char* buffer, size_t length) noexcept
      : OperationAwaiter(IoRequest::Receive(buffer, length), std::move(use), kReceive) {}
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SOCKET_H_
