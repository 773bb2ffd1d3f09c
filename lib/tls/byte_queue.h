// Layer tls. The bytes between OpenSSL and a transport: they come in behind, and go out in front.
//
//   ByteQueue received;
//   const MutableBuffer room = received.Room(kRecordBytes);   // empty: no memory
//   received.Add((co_await transport.Read(room)).value());
//
// Has memory while it holds bytes, or until Free(). Lack of memory is an answer, never an exception: OpenSSL, which is
// C, is among the callers. (OpenSSL's own memory BIO writes zeros over its memory before it copies into it, and can
// only be emptied by another copy: a tenth of the cost of a large answer.)
#ifndef WEFT_LIB_TLS_BYTE_QUEUE_H_
#define WEFT_LIB_TLS_BYTE_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"

namespace weft::internal {

class ByteQueue {
 public:
  ByteQueue() noexcept = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { Free(); }

  size_t size() const noexcept { return end_ - begin_; }
  bool empty() const noexcept { return begin_ == end_; }
  ConstBuffer bytes() const noexcept { return {memory_.get() + begin_, size()}; }

  // `bytes` behind, to be filled; empty: no memory.
  MutableBuffer Room(size_t bytes) noexcept {
    if (capacity_ - end_ < bytes && !MakeRoom(bytes)) return {};
    return {memory_.get() + end_, bytes};
  }
  // So many of these are filled.
  void Add(size_t bytes) noexcept { end_ += bytes; }
  // False: no memory, and nothing was added.
  bool Append(ConstBuffer more) noexcept {
    if (more.empty()) return true;
    const MutableBuffer room = Room(more.size());
    if (room.empty()) return false;
    std::memcpy(room.data(), more.data(), more.size());
    Add(more.size());
    return true;
  }
  // Moves as many as there are, and as `into` takes. Has no memory any more when all are gone.
  size_t Take(MutableBuffer into) noexcept {
    const size_t taken = std::min(size(), into.size());
    if (taken > 0) std::memcpy(into.data(), memory_.get() + begin_, taken);
    begin_ += taken;
    if (empty()) Free();
    return taken;
  }

  // Empty, with its memory.
  void Clear() noexcept { begin_ = end_ = 0; }
  void Free() noexcept {
    memory_.reset();
    begin_ = end_ = capacity_ = 0;
  }
  void Swap(ByteQueue& other) noexcept {
    memory_.swap(other.memory_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  bool MakeRoom(size_t bytes) noexcept {
    if (capacity_ - size() >= bytes) {
      std::memmove(memory_.get(), memory_.get() + begin_, size());
    } else {
      const size_t wanted = std::max(size() + bytes, 2 * capacity_);
      io::AlignedBytes larger = io::AllocateAligned(wanted);
      if (larger == nullptr) return false;
      if (!empty()) std::memcpy(larger.get(), memory_.get() + begin_, size());
      memory_ = std::move(larger);
      capacity_ = wanted;
    }
    end_ -= std::exchange(begin_, 0);
    return true;
  }

  io::AlignedBytes memory_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_LIB_TLS_BYTE_QUEUE_H_
