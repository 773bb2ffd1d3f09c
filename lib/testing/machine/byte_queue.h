// Layer testing. Bytes that were sent, and not read, with the descriptors that came with them.
#ifndef WEFT_LIB_TESTING_MACHINE_BYTE_QUEUE_H_
#define WEFT_LIB_TESTING_MACHINE_BYTE_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/testing/machine/open_object.h"

namespace weft::internal::machine {

// What a message carries beside its bytes.
using Rights = std::vector<std::shared_ptr<OpenObject>>;

// The first `bytes` bytes of `parts`.
inline std::string Gather(Parts parts, size_t bytes) {
  std::string text;
  text.reserve(bytes);
  for (const iovec& part : parts) {
    text.append(static_cast<const char*>(part.iov_base), std::min(part.iov_len, bytes - text.size()));
  }
  return text;
}

// Copies what fits, and returns how much that is.
inline size_t Scatter(const char* data, size_t bytes, Parts parts) noexcept {
  size_t done = 0;
  for (const iovec& part : parts) {
    const size_t now = std::min(part.iov_len, bytes - done);
    if (now > 0) std::memcpy(part.iov_base, data + done, now);
    done += now;
  }
  return done;
}

class ByteQueue {
 public:
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  void Push(std::string data, Rights rights = {}) {
    size_ += data.size();
    if (!data.empty()) pieces_.push_back({std::move(data), std::move(rights)});
  }

  // Up to `bytes` bytes. As with Linux, none beyond a piece that descriptors came with; these are moved to `rights`.
  std::string Pop(size_t bytes, Rights& rights) {
    std::string data;
    while (!pieces_.empty() && data.size() < bytes && rights.empty()) {
      Piece& first = pieces_.front();
      const size_t now = std::min(bytes - data.size(), first.data.size() - read_);
      data.append(first.data, read_, now);
      read_ += now;
      rights = std::exchange(first.rights, {});
      if (read_ < first.data.size()) continue;
      pieces_.pop_front();
      read_ = 0;
    }
    size_ -= data.size();
    return data;
  }
  // MSG_PEEK: up to `bytes` bytes, which stay, with what they came with.
  std::string Peek(size_t bytes) const {
    std::string data;
    size_t from = read_;
    for (const Piece& piece : pieces_) {
      data.append(piece.data, from, bytes - data.size());
      from = 0;
      if (data.size() >= bytes) break;
    }
    return data;
  }

 private:
  struct Piece {
    std::string data;
    Rights rights;
  };

  std::deque<Piece> pieces_;
  size_t read_ = 0;  // of the first
  size_t size_ = 0;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_BYTE_QUEUE_H_
