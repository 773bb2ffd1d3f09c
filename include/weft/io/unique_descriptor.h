// UniqueDescriptor: owns a file descriptor, and closes it.
//
//   weft::io::UniqueDescriptor file(::open("/etc/hosts", O_RDONLY | O_CLOEXEC));
//   std::vector<weft::io::UniqueDescriptor> received;
//   absl::StatusOr<size_t> got = co_await stream.Receive(buffer, received);   // weft/net/unix_stream.h
//
// It is a number with an owner, as std::unique_ptr is for memory: it knows nothing of operations, and one thread at a
// time may use it.
#ifndef WEFT_IO_UNIQUE_DESCRIPTOR_H_
#define WEFT_IO_UNIQUE_DESCRIPTOR_H_

#include "weft/internal/compiler.h"

#include <utility>

namespace weft::io {

// (lib/io/unique_descriptor.cc)
class UniqueDescriptor {
 public:
  UniqueDescriptor() noexcept = default;
  // Owns `fd` from here on. -1: none.
  explicit UniqueDescriptor(int fd) noexcept : fd_(fd) {}
  UniqueDescriptor(UniqueDescriptor&& other) noexcept : fd_(other.Release()) {}
  UniqueDescriptor& operator=(UniqueDescriptor&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueDescriptor() { Reset(); }

  // -1 if it has none.
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  // The caller owns it from here on.
  [[nodiscard("the descriptor is the caller's now, and would stay open")]] int Release() noexcept {
    return std::exchange(fd_, -1);
  }
  // Closes what it had, and owns `fd`.
  void Reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace weft::io

#endif  // WEFT_IO_UNIQUE_DESCRIPTOR_H_
