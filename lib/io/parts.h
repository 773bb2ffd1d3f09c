// Layer io. How does a row of buffers become calls that write several at once?
#ifndef WEFT_LIB_IO_PARTS_H_
#define WEFT_LIB_IO_PARTS_H_

#include <sys/uio.h>

#include <cstddef>
#include <span>

#include "weft/io/buffer.h"

namespace weft::internal {

// Of one operation, whose result is an int32_t.
inline constexpr size_t kMaxBytesAtOnce = size_t{1} << 30;

// What is still to be written of a row of buffers, which it does not own. (parts.cc)
class Parts {
 public:
  // How many one call takes; more need more calls.
  static constexpr size_t kMaxAtOnce = 64;
  struct Filled {
    int count = 0;
    size_t bytes = 0;
  };

  explicit Parts(std::span<const ConstBuffer> parts) noexcept : parts_(parts) { Skip(0); }

  bool empty() const noexcept { return parts_.empty(); }
  // `bytes` have been written: they are skipped, and empty parts behind them.
  void Skip(size_t bytes) noexcept;
  // The next ones, for one call of at most `max_bytes`.
  Filled Fill(iovec (&into)[kMaxAtOnce], size_t max_bytes = kMaxBytesAtOnce) const noexcept;

 private:
  std::span<const ConstBuffer> parts_;
  size_t done_of_first_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_IO_PARTS_H_
