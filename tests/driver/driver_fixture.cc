#include "tests/driver/driver_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "lib/driver/backend.h"
#include "weft/internal/check.h"

namespace weft::internal {

int CountDescriptors() {
  DIR* const directory = ::opendir("/proc/self/fd");
  WEFT_CHECK(directory != nullptr);
  int count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count - 3;  // ".", ".." and the directory itself
}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = other.Release();
  }
  return *this;
}

Fd::~Fd() { Close(); }

int Fd::Release() noexcept { return std::exchange(fd_, -1); }

void Fd::Close() noexcept {
  if (fd_ >= 0) ::close(Release());
}

Pair UnixPair() {
  int fds[2];
  WEFT_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

Listener Listen(int backlog) {
  Listener listener;
  listener.fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  WEFT_CHECK(listener.fd.get() >= 0);
  listener.address = {};
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const address = reinterpret_cast<sockaddr*>(&listener.address);
  socklen_t length = sizeof(listener.address);
  WEFT_CHECK(::bind(listener.fd.get(), address, length) == 0);
  WEFT_CHECK(::listen(listener.fd.get(), backlog) == 0);
  WEFT_CHECK(::getsockname(listener.fd.get(), address, &length) == 0);
  return listener;
}

Pair TcpPair() {
  const Listener listener = Listen();
  Fd a(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  WEFT_CHECK(::connect(a.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof(listener.address)) == 0);
  WEFT_CHECK(::fcntl(a.get(), F_SETFL, O_NONBLOCK) == 0);
  Fd b(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  WEFT_CHECK(b.get() >= 0);
  return {std::move(a), std::move(b)};
}

size_t FillSendBuffer(int fd) {
  static const std::string block(65536, 'f');
  size_t bytes = 0;
  for (;;) {
    const ssize_t sent = ::send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      WEFT_CHECK(errno == EAGAIN);
      return bytes;
    }
    bytes += static_cast<size_t>(sent);
  }
}

void CountedOperation::SetReceive(int new_fd, void* new_buffer, size_t new_length) {
  Set(new_fd, IoRequest::Receive(new_buffer, new_length));
}

void CountedOperation::SetSend(int new_fd, const void* new_buffer, size_t new_length) {
  Set(new_fd, IoRequest::Send(new_buffer, new_length));
}

void CountedOperation::SetAccept(int new_fd, sockaddr* new_address, socklen_t* new_length) {
  Set(new_fd, IoRequest::Accept(new_address, new_length));
}

void CountedOperation::SetConnect(int new_fd, const sockaddr_in& to) {
  connect_address = to;
  Set(new_fd, IoRequest::Connect(reinterpret_cast<sockaddr*>(&connect_address), &connect_length));
}

void PollUntilDone(Driver& driver, CountedOperation& op) {
  while (!op.done()) driver.Poll(Driver::kNoTimeout);
}

int32_t Finish(Driver& driver, CountedOperation& op) {
  if (!driver.Start(op)) PollUntilDone(driver, op);
  return op.result;
}

void DriverTest::SetUp() {
  descriptors_ = CountDescriptors();
  absl::StatusOr<std::shared_ptr<Backend>> backend = NewBackend(GetParam(), /*drivers=*/1);
  ASSERT_TRUE(backend.ok()) << backend.status();
  backend_ = *std::move(backend);
  ASSERT_EQ(backend_->name(), uring() ? "io_uring" : "epoll");
  driver_ = NewDriver();
  ASSERT_NE(driver_, nullptr);
}

void DriverTest::TearDown() {
  if (driver_ != nullptr) EXPECT_EQ(driver_->in_flight(), 0);
  driver_ = nullptr;
  backend_ = nullptr;
  EXPECT_EQ(CountDescriptors(), descriptors_) << "descriptors leaked";
}

std::unique_ptr<Driver> DriverTest::NewDriver() {
  absl::StatusOr<std::unique_ptr<Driver>> driver = backend_->NewDriver();
  EXPECT_TRUE(driver.ok()) << driver.status();
  return driver.ok() ? *std::move(driver) : nullptr;
}

std::string BackendName(const testing::TestParamInfo<IoBackend>& info) {
  return info.param == IoBackend::kUring ? "uring" : "epoll";
}

}  // namespace weft::internal
