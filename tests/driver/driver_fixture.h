// What the tests of lib/driver share: operations that count their ends, sockets on loopback, and the census of
// descriptors.
#ifndef WEFT_TESTS_DRIVER_DRIVER_FIXTURE_H_
#define WEFT_TESTS_DRIVER_DRIVER_FIXTURE_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "lib/driver/driver.h"
#include "weft/internal/atomic.h"
#include "weft/internal/operation.h"
#include "weft/io_backend.h"

namespace weft::internal {

// Descriptors open in this process.
int CountDescriptors();

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();

  int get() const noexcept { return fd_; }
  int Release() noexcept;
  void Close() noexcept;

 private:
  int fd_;
};

struct Pair {
  Fd a;
  Fd b;
};

// Two connected, non-blocking sockets.
Pair UnixPair();
Pair TcpPair();

// A non-blocking listener on 127.0.0.1, and its address.
struct Listener {
  Fd fd;
  sockaddr_in address;
};
Listener Listen(int backlog = 128);

// Fills the peer's and the own buffer; returns the bytes.
size_t FillSendBuffer(int fd);

// An operation that counts how often it ends, and by which thread.
struct CountedOperation : Operation {
  CountedOperation() noexcept { complete = &Ended; }

  CountedOperation(const CountedOperation&) = delete;
  CountedOperation& operator=(const CountedOperation&) = delete;

  void Set(int fd, IoRequest wanted) noexcept {
    request = wanted;
    request.fd = fd;
  }
  void SetReceive(int new_fd, void* new_buffer, size_t new_length);
  void SetSend(int new_fd, const void* new_buffer, size_t new_length);
  void SetAccept(int new_fd, sockaddr* new_address = nullptr, socklen_t* new_length = nullptr);
  void SetConnect(int new_fd, const sockaddr_in& to);

  bool done() const noexcept { return ends.load(std::memory_order_acquire) > 0; }
  void Reset() noexcept { ends.store(0, std::memory_order_relaxed); }

  static void Ended(Operation& op) noexcept {
    static_cast<CountedOperation&>(op).ends.fetch_add(1, std::memory_order_acq_rel);
  }

  Atomic<int> ends{0};
  sockaddr_in connect_address = {};
  socklen_t connect_length = sizeof(sockaddr_in);
};

// Starts `op`, and polls until it has ended.
int32_t Finish(Driver& driver, CountedOperation& op);

// Polls until `op` has ended.
void PollUntilDone(Driver& driver, CountedOperation& op);

// Both backends run every test; the name is asserted. After each test nothing is open that was not before.
class DriverTest : public testing::TestWithParam<IoBackend> {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::unique_ptr<Driver> NewDriver();
  bool uring() const { return GetParam() == IoBackend::kUring; }

  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Driver> driver_;

 private:
  int descriptors_ = 0;
};

std::string BackendName(const testing::TestParamInfo<IoBackend>& info);

}  // namespace weft::internal

#endif  // WEFT_TESTS_DRIVER_DRIVER_FIXTURE_H_
