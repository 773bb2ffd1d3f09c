#include "weft/internal/socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/net/accept_retry.h"
#include "lib/os/syscalls.h"
#include "weft/internal/check.h"
#include "weft/internal/errno_status.h"
#include "weft/internal/lock.h"
#include "weft/internal/scheduler.h"
#include "weft/internal/thread_block.h"

namespace weft::internal {
namespace {

// For the first operation on a socket, and those that come at the same time.
constinit Lock attach_lock;

}  // namespace

void Socket::Close() noexcept {
  if (fd_ < 0) return;
  if (backend_ != nullptr) std::exchange(backend_, nullptr)->Forget(fd_);
  attached_.store(false, std::memory_order_relaxed);
  Sys().close(std::exchange(fd_, -1));  // the descriptor is gone whatever it says
  DescriptorFreed();
}

void Socket::Attach(const char* what) {
  WEFT_CHECK(is_open()) << what << " on a socket that is closed or was moved from";
  // [attach/1] acquire: pairs with [attach/2].
  if (attached_.load(std::memory_order_acquire)) return;
  std::lock_guard guard(attach_lock);
  if (backend_ == nullptr) backend_ = RuntimeBackend();
  WEFT_CHECK(backend_ != nullptr) << what << " in a simulation without I/O: SimulationOptions::io gives it some";
  // [attach/2] release: pairs with [attach/1], whose caller may be the one to close the socket.
  attached_.store(true, std::memory_order_release);
}

absl::StatusOr<net::SocketAddress> Socket::LocalAddress() const {
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  if (Sys().getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return ErrnoToStatus(errno, "getsockname");
  return net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
}

absl::StatusOr<net::SocketAddress> Socket::PeerAddress() const {
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  if (Sys().getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return ErrnoToStatus(errno, "getpeername");
  return net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
}

const WaitKind OperationAwaiter::kReceive = {ParkReason::kReceive, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kSend = {ParkReason::kSend, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kAccept = {ParkReason::kAccept, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kConnect = {ParkReason::kConnect, /*timed=*/false, &OperationAwaiter::Withdraw};

bool OperationAwaiter::Suspend(PromiseBase& frame) noexcept {
  if (!EnterWait(frame, kind_, static_cast<Operation*>(&operation_))) return true;
  operation_.thread = CurrentThread();
  operation_.complete = &Complete;
  const bool may_go_on = may_go_on_;
  if (!StartOperation(operation_)) return true;  // not ours any more: it may have completed on another carrier
  if (may_go_on) {
    GoOnInstead();
    return false;
  }
  YieldInstead();
  return true;
}

void OperationAwaiter::Complete(Operation& operation) noexcept {
  auto& pending = static_cast<Pending&>(operation);
  if (pending.result == -ECANCELED && pending.cancelled) {
    WakeCancelled(*pending.thread);
  } else {
    Wake(*pending.thread);
  }
}

// The operation still ends, once, and its completion wakes the thread: with what it brought, or to be unwound.
bool OperationAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto& pending = *static_cast<Pending*>(static_cast<Operation*>(thread.waiting_on));
  if (!std::exchange(pending.cancel_requested, true)) pending.driver->RequestCancel(pending);
  return false;
}

}  // namespace weft::internal
