#include "lib/driver/epoll/epoll_backend.h"

#include <limits.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>

#include "lib/base/errno_status.h"
#include "lib/driver/epoll/epoll_driver.h"
#include "lib/os/syscalls.h"
#include "weft/internal/check.h"

namespace weft::internal {
namespace {

// How many events one call fetches. More would be delivered late, fewer cost more calls; 12 bytes of stack each.
constexpr int kMaxEvents = 128;

constexpr int64_t kNanosPerMilli = 1'000'000;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

bool IsTcp(int fd) noexcept {
  int protocol = 0;
  socklen_t size = sizeof(protocol);
  return Sys().getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Backend>> EpollBackend::Create() {
  std::shared_ptr<EpollBackend> backend(new (std::nothrow) EpollBackend());
  if (backend == nullptr) return ErrnoToStatus(ENOMEM, "allocating the epoll backend");
  backend->epoll_ = Sys().epoll_create1(EPOLL_CLOEXEC);
  if (backend->epoll_ < 0) return ErrnoToStatus(errno, "epoll_create1");
  const int error = backend->wake_.Open();
  if (error != 0) return ErrnoToStatus(error, "eventfd for the doorbell of the epoll backend");
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};  // level-triggered: see the header
  if (Sys().epoll_ctl(backend->epoll_, EPOLL_CTL_ADD, backend->wake_.fd(), &event) != 0) {
    return ErrnoToStatus(errno, "epoll_ctl on the doorbell of the epoll backend");
  }
  return std::shared_ptr<Backend>(std::move(backend));
}

EpollBackend::~EpollBackend() {
  WEFT_CHECK(poller_ == nullptr && first_parked_ == nullptr) << "the epoll backend is destroyed while drivers wait";
  if (epoll_ >= 0) Sys().close(epoll_);
}

absl::StatusOr<std::unique_ptr<Driver>> EpollBackend::NewDriver() noexcept {
  std::unique_ptr<Driver> driver(new (std::nothrow) EpollDriver(*this));
  if (driver == nullptr) return absl::Status(absl::StatusCode::kResourceExhausted, "");  // words take memory
  return driver;
}

// ---- Descriptors ---------------------------------------------------------------------------------------------------

Descriptor* EpollBackend::Watch(int fd, Flow flow, int& error) noexcept {
  Descriptor* const descriptor = table_.Get(fd);
  if (descriptor == nullptr) {
    error = ENOMEM;
    return nullptr;
  }
  std::lock_guard guard(descriptor->registration);
  if (descriptor->Watches(flow)) return descriptor;
  const uint8_t before = descriptor->watched.load(std::memory_order_relaxed);
  const uint8_t wanted = flow == Flow::kIn ? Descriptor::kIn : Descriptor::kIn | Descriptor::kOut;
  if (before == 0) descriptor->emptied.Reset(IsTcp(fd));
  epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data = {.ptr = descriptor}};
  if (flow == Flow::kOut) event.events |= EPOLLOUT;
  // Either call reports what is ready by then, so nothing is missed between the operation's try and this.
  int result = before != 0 ? -1 : Sys().epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  if (before != 0 || (result != 0 && errno == EEXIST)) {
    result = Sys().epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }
  if (result != 0) {
    error = errno;
    return nullptr;
  }
  descriptor->watched.store(wanted, std::memory_order_relaxed);
  return descriptor;
}

void EpollBackend::CancelPending(int fd, PendingOperations&) noexcept {
  Descriptor* const descriptor = table_.FindInOrder(fd);
  if (descriptor == nullptr) return;  // nothing waits yet; an operation that is about to wait will see `closed`
  for (Direction* direction : {&descriptor->in, &descriptor->out}) {
    std::lock_guard guard(direction->lock);
    while (Operation* const op = direction->first) EpollDriver::Cancel(*direction, *op);
  }
}

void EpollBackend::Forget(int fd) noexcept {
  if (inherited()) return;
  Descriptor* const descriptor = table_.Find(fd);
  if (descriptor == nullptr) return;
  std::lock_guard guard(descriptor->registration);
  if (descriptor->watched.load(std::memory_order_relaxed) == 0) return;
  for (Direction* direction : {&descriptor->in, &descriptor->out}) {
    std::lock_guard direction_guard(direction->lock);
    WEFT_CHECK(direction->first == nullptr) << "descriptor " << fd << " is closed while an operation on it is pending";
  }
  // Closing takes it out too, but not where a duplicate of it lives on, in a child for instance.
  epoll_event event = {};
  const int result = Sys().epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, &event);
  WEFT_CHECK(result == 0 || errno == ENOENT || errno == EBADF)
      << "epoll_ctl(EPOLL_CTL_DEL) on descriptor " << fd << " failed with errno " << errno;
  descriptor->watched.store(0, std::memory_order_relaxed);
  descriptor->emptied.Reset(/*trusted=*/false);
}

// ---- Events --------------------------------------------------------------------------------------------------------

int EpollBackend::Wait(void* events, int max, int64_t timeout_ns) noexcept {
  auto* const list = static_cast<epoll_event*>(events);
  const bool limited = timeout_ns != Driver::kNoTimeout;
  if (limited && timeout_ns > 0 && has_pwait2_.load(std::memory_order_relaxed)) {
    const timespec timeout = {.tv_sec = timeout_ns / kNanosPerSecond, .tv_nsec = timeout_ns % kNanosPerSecond};
    const int count = Sys().epoll_pwait2(epoll_, list, max, &timeout);
    if (count >= 0 || errno == EINTR) return count;
    has_pwait2_.store(false, std::memory_order_relaxed);
  }
  // Rounded up, so that a timer that is waited for has expired. What exceeds an int is waited for again by the caller.
  const int64_t timeout_ms = limited ? (timeout_ns + kNanosPerMilli - 1) / kNanosPerMilli : -1;
  return Sys().epoll_wait(epoll_, list, max, static_cast<int>(std::min<int64_t>(timeout_ms, INT_MAX)));
}

void EpollBackend::Look(int64_t timeout_ns, OperationQueue& ended) noexcept {
  epoll_event events[kMaxEvents];
  const int count = Wait(events, kMaxEvents, timeout_ns);
  if (count <= 0) {
    WEFT_CHECK(count == 0 || errno == EINTR) << "epoll_wait failed with errno " << errno << " " << ErrnoName(errno);
    return;  // the time is up, or a signal came: the caller's clock tells
  }
  for (int i = 0; i < count; ++i) {
    const uint32_t what = events[i].events;
    auto* const descriptor = static_cast<Descriptor*>(events[i].data.ptr);
    if (descriptor == nullptr) {
      if (timeout_ns != 0) wake_.Drain();  // by the poller only
      continue;
    }
    if ((what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) descriptor->emptied.Distrust();
    if ((what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) EpollDriver::Wake(*descriptor, Flow::kIn, ended);
    if ((what & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) EpollDriver::Wake(*descriptor, Flow::kOut, ended);
  }
}

// ---- Roles ---------------------------------------------------------------------------------------------------------

bool EpollBackend::Enter(EpollDriver& driver) noexcept {
  std::lock_guard guard(idle_lock_);
  const bool aside = driver.waits() == Driver::Waits::kAside;
  const bool poller = poller_ == nullptr && !aside;
  // With the lock held, so that Promote() finds every driver in the list asleep or on its way out; said later, a driver
  // could miss its promotion and sleep while nobody polls.
  driver.doorbell_.LieDown(poller ? Doorbell::kInKernel : Doorbell::kOnFutex);
  if (poller) {
    poller_ = &driver;
    return true;
  }
  if (aside) {
    PromoteLocked();
    return false;
  }
  if (driver.waits() == Driver::Waits::kAlways) ++parked_always_;
  driver.previous_parked_ = nullptr;
  driver.next_parked_ = first_parked_;
  if (first_parked_ != nullptr) first_parked_->previous_parked_ = &driver;
  first_parked_ = &driver;
  return false;
}

void EpollBackend::Leave(EpollDriver& driver) noexcept {
  std::lock_guard guard(idle_lock_);
  if (poller_ == &driver) {
    poller_ = nullptr;
    return WakeOneThatAlwaysWaits();
  }
  if (driver.waits() == Driver::Waits::kAside) return;
  EpollDriver* const next = driver.next_parked_;
  EpollDriver* const previous = driver.previous_parked_;
  (previous == nullptr ? first_parked_ : previous->next_parked_) = next;
  if (next != nullptr) next->previous_parked_ = previous;
  if (driver.waits() != Driver::Waits::kAlways) return;
  --parked_always_;
  WakeOneThatAlwaysWaits();  // this one may have been woken for that, and go to run something
}

void EpollBackend::Promote() noexcept {
  std::lock_guard guard(idle_lock_);
  PromoteLocked();
}

void EpollBackend::WakeOneThatAlwaysWaits() noexcept {
  if (poller_ != nullptr || parked_always_ == 0) [[likely]]
    return;
  EpollDriver* driver = first_parked_;
  while (driver->waits() != Driver::Waits::kAlways) driver = driver->next_parked_;
  driver->doorbell_.WakeFromFutex();
}

// With the lock held, the parked driver cannot leave the list, hence not be destroyed.
void EpollBackend::PromoteLocked() noexcept {
  if (poller_ == nullptr && first_parked_ != nullptr) first_parked_->doorbell_.WakeFromFutex();
}

}  // namespace weft::internal
