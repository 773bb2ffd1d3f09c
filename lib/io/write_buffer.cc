#include "weft/internal/write_buffer.h"

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/internal/check.h"
#include "weft/io/buffer.h"

namespace weft::internal {

WriteBuffer::WriteBuffer(WriteBuffer&& other) noexcept
    : capacity_(other.capacity_),
      memory_(std::move(other.memory_)),
      size_(std::exchange(other.size_, 0)),
      status_(other.status_) {}

WriteBuffer& WriteBuffer::operator=(WriteBuffer&& other) noexcept {
  if (this == &other) return *this;
  capacity_ = other.capacity_;
  memory_ = std::move(other.memory_);
  size_ = std::exchange(other.size_, 0);
  status_ = other.status_;
  return *this;
}

absl::Status WriteBuffer::Append(ConstBuffer data) {
  if (!status_.ok()) return status_;
  if (data.empty()) return absl::OkStatus();
  WEFT_DCHECK(HasRoomFor(data.size()));
  if (memory_ == nullptr) {
    memory_.reset(new (std::nothrow) char[capacity_]);
    if (memory_ == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat("Write(): no memory for a buffer of ", capacity_, " bytes"));
    }
  }
  std::memcpy(memory_.get() + size_, data.data(), data.size());
  size_ += data.size();
  return absl::OkStatus();
}

void WriteBuffer::OnSent(const absl::Status& sent) {
  size_ = 0;
  if (status_.ok()) status_ = sent;
}

absl::Status SendInProgress::Ended(absl::Status sent) {
  std::exchange(buffer_, nullptr)->OnSent(sent);
  return sent;
}

void SendInProgress::GiveUp() noexcept {
  buffer_->OnSent(absl::AbortedError("a write was cancelled, or has thrown, when a part of it may have been sent"));
}

}  // namespace weft::internal
