// Layer net. How are several buffers sent by one call?
#ifndef WEFT_LIB_NET_SEND_PARTS_H_
#define WEFT_LIB_NET_SEND_PARTS_H_

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/io/call_awaiter.h"
#include "weft/internal/descriptor.h"
#include "weft/io/buffer.h"

namespace weft::internal {

// What is still to be sent of a row of buffers, which it does not own.
class PartsToSend {
 public:
  // How many one call takes; more need more calls.
  static constexpr size_t kMaxParts = 64;

  explicit PartsToSend(std::span<const ConstBuffer> parts) noexcept : parts_(parts) {}

  bool empty() const noexcept { return parts_.empty(); }
  // `bytes` have been sent: they are skipped, and empty parts behind them.
  void Skip(size_t bytes) noexcept;
  // The next ones, for one call; returns how many.
  size_t Fill(iovec (&into)[kMaxParts]) const noexcept;

 private:
  std::span<const ConstBuffer> parts_;
  size_t sent_of_first_ = 0;
};

// (send_parts.cc)
class SendPartsAwaiter : public CallAwaiter {
 public:
  SendPartsAwaiter(DescriptorUse use, const PartsToSend& parts) noexcept;

 private:
  static int32_t Make(int fd, void* self) noexcept;

  iovec parts_[PartsToSend::kMaxParts];
  msghdr message_ = {};
};

}  // namespace weft::internal

#endif  // WEFT_LIB_NET_SEND_PARTS_H_
