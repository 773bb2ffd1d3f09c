// An open socket, and the awaiter of one operation on it.
#ifndef WEFT_INTERNAL_SOCKET_H_
#define WEFT_INTERNAL_SOCKET_H_

#include <sys/socket.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/atomic.h"
#include "weft/internal/driver.h"
#include "weft/internal/promise.h"
#include "weft/internal/scheduler.h"
#include "weft/net/socket_address.h"

namespace weft::internal {

// Owns a descriptor, and knows the backend that its operations go to: that of the runtime of the first one.
class Socket {
 public:
  Socket() noexcept = default;
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), backend_(std::move(other.backend_)), attached_(other.attached()) {
    other.attached_.store(false, std::memory_order_relaxed);
  }
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(backend_, other.backend_);
    const bool was_attached = attached();
    attached_.store(other.attached(), std::memory_order_relaxed);
    other.attached_.store(was_attached, std::memory_order_relaxed);
    return *this;
  }
  ~Socket() { Close(); }

  int fd() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  // No operation is pending on it. Idempotent.
  void Close() noexcept;
  // On a virtual thread, before an operation: the socket belongs to its runtime from now on. Several may at once: one reads,
  // another writes.
  void Attach(const char* what);

  absl::StatusOr<net::SocketAddress> LocalAddress() const;
  absl::StatusOr<net::SocketAddress> PeerAddress() const;

 private:
  // relaxed, as wherever it is moved or closed: whoever does that has the socket alone.
  bool attached() const noexcept { return attached_.load(std::memory_order_relaxed); }

  int fd_ = -1;
  std::shared_ptr<Backend> backend_;  // written once, under a lock
  Atomic<bool> attached_{false};
};

// Awaits one operation. A cancelled one is awaited to its end, so its buffer may lie in the awaiting frame.
class [[nodiscard("co_await the operation")]] OperationAwaiter {
 public:
  using WeftAwaitable = void;

  OperationAwaiter(const OperationAwaiter&) = delete;
  OperationAwaiter& operator=(const OperationAwaiter&) = delete;

  bool await_ready() const noexcept {
    may_go_on_ = AtCheckpoint();
    return false;
  }
  template <WeftPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> frame) noexcept {
    return Suspend(frame.promise());
  }
  // As Operation::result.
  int32_t await_resume() const noexcept { return operation_.result; }

 protected:
  OperationAwaiter(Operation::Code code, int fd, const WaitKind& kind) noexcept : kind_(kind) {
    operation_.code = code;
    operation_.fd = fd;
  }
  Operation& operation() noexcept { return operation_; }

  static const WaitKind kReceive, kSend, kAccept, kConnect;

 private:
  struct Pending : Operation {
    ThreadBlock* thread = nullptr;
    bool cancel_requested = false;  // guarded by the thread's records lock
  };

  bool Suspend(PromiseBase& frame) noexcept;
  static void Complete(Operation& operation) noexcept;
  static bool Withdraw(ThreadBlock& thread) noexcept;

  const WaitKind& kind_;
  Pending operation_;
  mutable bool may_go_on_ = false;
};

class ReceiveAwaiter : public OperationAwaiter {
 public:
  ReceiveAwaiter(int fd, char* buffer, size_t length) noexcept : OperationAwaiter(Operation::Code::kReceive, fd, kReceive) {
    operation().buffer = buffer;
    operation().length = length;
  }
};

class SendAwaiter : public OperationAwaiter {
 public:
  SendAwaiter(int fd, const char* buffer, size_t length) noexcept : OperationAwaiter(Operation::Code::kSend, fd, kSend) {
    operation().buffer = const_cast<char*>(buffer);  // a send only reads it
    operation().length = length;
  }
};

class AcceptAwaiter : public OperationAwaiter {
 public:
  explicit AcceptAwaiter(int fd) noexcept : OperationAwaiter(Operation::Code::kAccept, fd, kAccept) {}
};

// `address` is kept here: the kernel reads it until the operation has ended.
class ConnectAwaiter : public OperationAwaiter {
 public:
  ConnectAwaiter(int fd, const net::SocketAddress& address) noexcept
      : OperationAwaiter(Operation::Code::kConnect, fd, kConnect), address_(address), size_(address.size()) {
    operation().address = const_cast<sockaddr*>(address_.data());  // a connect only reads it
    operation().address_length = &size_;
  }

 private:
  const net::SocketAddress address_;
  socklen_t size_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_SOCKET_H_
