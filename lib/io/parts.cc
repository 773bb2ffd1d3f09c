#include "lib/io/parts.h"

#include <algorithm>

namespace weft::internal {
void Parts::Skip(size_t bytes) noexcept {
  done_of_first_ += bytes;
  while (!parts_.empty() && done_of_first_ >= parts_.front().size()) {
    done_of_first_ -= parts_.front().size();
    parts_ = parts_.subspan(1);
  }
}

Parts::Filled Parts::Fill(iovec (&into)[kMaxAtOnce], size_t max_bytes) const noexcept {
  Filled filled;
  size_t done = done_of_first_;
  for (const ConstBuffer& part : parts_.first(std::min(parts_.size(), kMaxAtOnce))) {
    if (filled.bytes == max_bytes) break;
    const size_t bytes = std::min(part.size() - done, max_bytes - filled.bytes);
    // The kernel only reads it.
    into[filled.count++] = {.iov_base = const_cast<char*>(part.data() + done), .iov_len = bytes};
    filled.bytes += bytes;
    done = 0;
  }
  return filled;
}

}  // namespace weft::internal
