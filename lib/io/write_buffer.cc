#include "weft/internal/write_buffer.h"

#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/internal/check.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"

namespace weft::internal {

WriteBuffer::WriteBuffer(WriteBuffer&& other) noexcept
    : capacity_(other.capacity_),
      memory_(std::move(other.memory_)),
      size_(std::exchange(other.size_, 0)),
      failure_(other.failure_),
      uncertain_(other.uncertain_) {}

WriteBuffer& WriteBuffer::operator=(WriteBuffer&& other) noexcept {
  if (this == &other) return *this;
  capacity_ = other.capacity_;
  memory_ = std::move(other.memory_);
  size_ = std::exchange(other.size_, 0);
  failure_ = other.failure_;
  uncertain_ = other.uncertain_;
  return *this;
}

absl::Status WriteBuffer::Append(ConstBuffer data) {
  if (!takes_more()) return status();
  if (data.empty()) return absl::OkStatus();
  WEFT_DCHECK(HasRoomFor(data.size()));
  if (memory_ == nullptr) {
    memory_ = io::AllocateAligned(capacity_);
    if (memory_ == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat("Write(): no memory for a buffer of ", capacity_, " bytes"));
    }
  }
  std::memcpy(memory_.get() + size_, data.data(), data.size());
  size_ += data.size();
  return absl::OkStatus();
}

absl::Status WriteBuffer::status() const {
  if (!uncertain_) return failure_;
  return absl::AbortedError("a write was cancelled, or has thrown, when a part of it may have been sent");
}

void WriteBuffer::OnSent(const absl::Status& sent) noexcept {
  size_ = 0;
  failure_ = sent;
}

void WriteBuffer::OnUncertain() noexcept {
  size_ = 0;
  uncertain_ = true;
}

}  // namespace weft::internal
