#include "lib/io/parts.h"

#include <algorithm>

namespace weft::internal {
namespace {

// The result of a call is an int32_t.
constexpr size_t kMaxBytesAtOnce = size_t{1} << 30;

}  // namespace

void Parts::Skip(size_t bytes) noexcept {
  done_of_first_ += bytes;
  while (!parts_.empty() && done_of_first_ >= parts_.front().size()) {
    done_of_first_ -= parts_.front().size();
    parts_ = parts_.subspan(1);
  }
}

size_t Parts::Fill(iovec (&into)[kMaxAtOnce]) const noexcept {
  size_t room = kMaxBytesAtOnce;
  size_t done = done_of_first_;
  size_t count = 0;
  while (count < std::min(parts_.size(), kMaxAtOnce) && room > 0) {
    const ConstBuffer& part = parts_[count];
    const size_t bytes = std::min(part.size() - done, room);
    // The kernel only reads it.
    into[count++] = {.iov_base = const_cast<char*>(part.data() + done), .iov_len = bytes};
    room -= bytes;
    done = 0;
  }
  return count;
}

}  // namespace weft::internal
