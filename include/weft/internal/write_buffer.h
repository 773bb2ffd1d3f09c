// The bytes that a BufferedWriter has taken and not sent yet, and why it takes no more. Knows no stream.
#ifndef WEFT_INTERNAL_WRITE_BUFFER_H_
#define WEFT_INTERNAL_WRITE_BUFFER_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"

namespace weft::internal {

class WriteBuffer {
 public:
  // Takes no memory before the first byte.
  explicit WriteBuffer(size_t capacity) noexcept : capacity_(capacity) {}
  WriteBuffer(WriteBuffer&& other) noexcept;
  WriteBuffer& operator=(WriteBuffer&& other) noexcept;
  ~WriteBuffer() = default;

  size_t size() const noexcept { return size_; }
  ConstBuffer bytes() const noexcept { return ConstBuffer(memory_.get(), size_); }
  // Whether `count` more bytes find room.
  bool HasRoomFor(size_t count) const noexcept { return count <= capacity_ - size_; }
  // False after a write that failed, or did not end.
  bool takes_more() const noexcept { return failure_.ok() && !uncertain_; }
  // Of that write.
  absl::Status status() const;

  // Needs room. Not OK, and nothing taken: status(), or no memory.
  absl::Status Append(ConstBuffer data);
  // The buffered bytes were sent, or they are lost and it takes no more.
  void OnSent(const absl::Status& sent) noexcept;
  // Nobody knows how many of the bytes were sent.
  void OnUncertain() noexcept;

 private:
  size_t capacity_;
  io::AlignedBytes memory_;
  size_t size_ = 0;
  absl::Status failure_;
  bool uncertain_ = false;
};

// While the buffered bytes are on their way. If it goes without Ended(), nobody knows how many of them were sent: the
// writer then takes no more, so that none is sent twice.
class SendInProgress {
 public:
  explicit SendInProgress(WriteBuffer& buffer) noexcept : buffer_(&buffer) {}
  SendInProgress(const SendInProgress&) = delete;
  SendInProgress& operator=(const SendInProgress&) = delete;
  ~SendInProgress() {
    if (buffer_ != nullptr) buffer_->OnUncertain();
  }
  // Returns `sent`.
  absl::Status Ended(absl::Status sent) noexcept {
    std::exchange(buffer_, nullptr)->OnSent(sent);
    return sent;
  }

 private:
  WriteBuffer* buffer_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_WRITE_BUFFER_H_
