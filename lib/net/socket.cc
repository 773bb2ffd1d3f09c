#include "weft/internal/socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/driver/driver.h"
#include "lib/net/accept_retry.h"
#include "lib/net/open_descriptor.h"
#include "lib/os/syscalls.h"
#include "lib/thread/runtime_services.h"
#include "weft/internal/check.h"
#include "weft/internal/thread_block.h"
#include "weft/internal/wait.h"

namespace weft::internal {
namespace {

absl::StatusOr<net::SocketAddress> AddressBy(int (*Syscalls::*call)(int, sockaddr*, socklen_t*),
                                             OpenDescriptor* descriptor, const char* what) {
  const DescriptorUse use(descriptor);
  if (!use) return SocketStatus(EBADF, what);
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  if ((Sys().*call)(use.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return SocketStatus(errno, what);
  return net::SocketAddress::From(reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace

absl::Status SocketStatus(int error, absl::string_view what) {
  if (error == EBADF) return internal::ErrnoToStatus(EBADF, absl::StrCat(what, " on a socket that was closed here"));
  return internal::ErrnoToStatus(error, what);
}

Socket Socket::Empty() noexcept { return Socket(OpenDescriptor::New()); }

void Socket::Open(int fd) noexcept { descriptor_->Open(fd); }

bool Socket::is_open() const noexcept { return descriptor_ && descriptor_->is_open(); }

void Socket::Close() noexcept {
  if (descriptor_) descriptor_->Close();
}

int Socket::native_handle() const noexcept { return descriptor_ ? descriptor_->fd() : -1; }

DescriptorRef Socket::Share(const char* what) const noexcept {
  WEFT_CHECK(descriptor_) << what << " on a socket that was moved from";
  return descriptor_;
}

DescriptorUse Socket::Use(const char* what) const noexcept {
  WEFT_CHECK(descriptor_) << what << " on a socket that was moved from";
  return DescriptorUse(descriptor_.get());
}

absl::Status Socket::Shutdown(int how, absl::string_view what) const {
  const DescriptorUse use(descriptor_.get());
  if (!use) return SocketStatus(EBADF, what);
  if (how == SHUT_RDWR) use->SetShutDown();
  const int error = Sys().shutdown(use.fd(), how) == 0 ? 0 : errno;
  if (how == SHUT_RDWR) DescriptorFreed();  // for an Accept() in a pause
  return SocketStatus(error, what);
}

absl::StatusOr<net::SocketAddress> Socket::LocalAddress() const {
  return AddressBy(&Syscalls::getsockname, descriptor_.get(), "getsockname");
}

absl::StatusOr<net::SocketAddress> Socket::PeerAddress() const {
  return AddressBy(&Syscalls::getpeername, descriptor_.get(), "getpeername");
}

const WaitKind OperationAwaiter::kReceive = {ParkReason::kReceive, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kSend = {ParkReason::kSend, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kAccept = {ParkReason::kAccept, /*timed=*/false, &OperationAwaiter::Withdraw};
const WaitKind OperationAwaiter::kConnect = {ParkReason::kConnect, /*timed=*/false, &OperationAwaiter::Withdraw};

bool OperationAwaiter::Suspend(AwaitingFrame frame) noexcept {
  if (!EnterWait(frame, kind_, static_cast<Operation*>(&operation_))) return true;
  const bool may_go_on = may_go_on_;
  if (!Start()) return true;  // not ours any more: it may have completed on another carrier
  operation_.use.Leave();
  if (operation_.request.code == IoRequest::Code::kAccept && operation_.result >= 0) ChargeAcceptOnly();
  if (may_go_on) {
    GoOnInstead();
    return false;
  }
  YieldInstead();
  return true;
}

// Returns what Driver::Start() would.
bool OperationAwaiter::Start() noexcept {
  if (!operation_.use) {
    operation_.result = -EBADF;
    return true;
  }
  operation_.request.fd = operation_.use.fd();
  operation_.pending = &operation_.use->pending();
  operation_.thread = CurrentThread();
  operation_.complete = &Complete;
  operation_.use->Attach(ParkReasonName(kind_.reason));
  return StartOperation(operation_);
}

void OperationAwaiter::Complete(Operation& operation) noexcept {
  auto& pending = static_cast<Pending&>(operation);
  ThreadBlock& thread = *pending.thread;
  bool cancelled = pending.result == -ECANCELED && pending.cancelled;
  if (cancelled && pending.use->closing()) {
    pending.result = -EBADF;
    cancelled = false;
  }
  pending.use.Leave();
  cancelled ? WakeCancelled(thread) : Wake(thread);
}

// The operation still ends, once, and its completion wakes the thread, either with a result or to be unwound.
bool OperationAwaiter::Withdraw(ThreadBlock& thread) noexcept {
  auto& operation = *static_cast<Operation*>(thread.waiting_on);
  operation.driver->RequestCancel(operation);
  return false;
}

}  // namespace weft::internal
