#include "weft/internal/read_buffer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/internal/check.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"

namespace weft::internal {

namespace {

using Kind = WantedBytes::Kind;
using State = WantedBytes::State;

constexpr size_t kMost = std::numeric_limits<size_t>::max();

const char* NameOf(Kind kind) noexcept {
  switch (kind) {
    case Kind::kSome: return "Read()";
    case Kind::kLine: return "ReadLine()";
    case Kind::kUntil: return "ReadUntil()";
    case Kind::kExactly: return "ReadExactly()";
    case Kind::kPeek: return "Peek()";
    case Kind::kAll: return "ReadAll()";
  }
  return "a read";
}

// What a call gets that finds fewer bytes than it wants, and the end.
State AtEnd(const WantedBytes& wanted, size_t buffered) noexcept {
  switch (wanted.kind) {
    case Kind::kSome:
    case Kind::kPeek:
    case Kind::kAll: return State::kFound;
    case Kind::kLine:
    case Kind::kUntil: return buffered == 0 ? State::kEnded : buffered > wanted.limit ? State::kTooLong : State::kFound;
    case Kind::kExactly: return State::kEnded;
  }
  return State::kEnded;
}

}  // namespace

bool ReadBuffer::IsDirect(const WantedBytes& wanted) const noexcept {
  return wanted.kind == Kind::kSome && wanted.limit >= first_capacity_;
}

ReadBuffer::ReadBuffer(size_t capacity) noexcept : first_capacity_(std::max<size_t>(capacity, 1)) {}

ReadBuffer::ReadBuffer(ReadBuffer&& other) noexcept
    : first_capacity_(other.first_capacity_),
      memory_(std::move(other.memory_)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)),
      searched_(std::exchange(other.searched_, 0)),
      searched_for_(other.searched_for_) {}

ReadBuffer& ReadBuffer::operator=(ReadBuffer&& other) noexcept {
  if (this == &other) return *this;
  first_capacity_ = other.first_capacity_;
  memory_ = std::move(other.memory_);
  capacity_ = std::exchange(other.capacity_, 0);
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  searched_ = std::exchange(other.searched_, 0);
  searched_for_ = other.searched_for_;
  return *this;
}

bool ReadBuffer::Settle(WantedBytes& wanted) noexcept {
  if (wanted.state != State::kOpen) return true;
  switch (wanted.kind) {
    case Kind::kSome:
      if (wanted.limit > 0 && size() == 0) return false;
      wanted.size = std::min(wanted.limit, size());
      wanted.state = State::kFound;
      return true;
    case Kind::kLine:
    case Kind::kUntil: SettleDelimited(wanted); return wanted.state != State::kOpen;
    case Kind::kExactly:
    case Kind::kPeek:
      if (size() < wanted.limit) return false;
      wanted.size = wanted.limit;
      wanted.state = State::kFound;
      return true;
    case Kind::kAll:
      if (size() > wanted.limit) wanted.state = State::kTooLong;
      return wanted.state != State::kOpen;
  }
  return false;
}

// Looks no further than the longest line may reach: what comes after that is for other calls.
void ReadBuffer::SettleDelimited(WantedBytes& wanted) noexcept {
  if (searched_for_ != wanted.delimiter) {
    searched_for_ = wanted.delimiter;
    searched_ = 0;
  }
  const size_t reach = std::min(size(), MostOf(wanted));
  if (searched_ < reach) {
    if (const void* const found = std::memchr(data() + searched_, wanted.delimiter, reach - searched_)) {
      const auto at = static_cast<size_t>(static_cast<const char*>(found) - data());
      searched_ = at;
      if (wanted.kind == Kind::kUntil) {
        wanted.size = at + 1;
      } else {
        const bool carriage_return = at > 0 && data()[at - 1] == '\r';
        wanted.size = at - (carriage_return ? 1 : 0);
        wanted.skip = carriage_return ? 2 : 1;
      }
      wanted.state = wanted.size > wanted.limit ? State::kTooLong : State::kFound;
      return;
    }
    searched_ = reach;
  }
  // The end of the longest line is a newline, or "\r\n"; that of anything else is part of it.
  const bool may_end = size() < wanted.limit ||
                       (wanted.kind == Kind::kLine &&
                        (size() == wanted.limit || (size() - 1 == wanted.limit && data()[size() - 1] == '\r')));
  if (!may_end) wanted.state = State::kTooLong;
}

size_t ReadBuffer::MostOf(const WantedBytes& wanted) noexcept {
  switch (wanted.kind) {
    case Kind::kLine: return wanted.limit > kMost - 2 ? kMost : wanted.limit + 2;
    case Kind::kAll: return wanted.limit > kMost - 1 ? kMost : wanted.limit + 1;
    case Kind::kSome:
    case Kind::kUntil:
    case Kind::kExactly:
    case Kind::kPeek: return wanted.limit;
  }
  return wanted.limit;
}

absl::StatusOr<MutableBuffer> ReadBuffer::Room(const WantedBytes& wanted) {
  // For this size() is 0, otherwise it would be settled.
  if (IsDirect(wanted)) return wanted.into;
  if (size() == 0) {
    begin_ = end_ = 0;
    if (capacity_ > first_capacity_) {
      memory_.reset();
      capacity_ = 0;
    }
  }
  if (begin_ > 0 && capacity_ - end_ < capacity_ / 2) {
    std::memmove(memory_.get(), data(), size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) {
    // More than there is: what is wanted would be settled otherwise.
    const size_t larger = capacity_ == 0 ? first_capacity_ : std::min(2 * capacity_, MostOf(wanted));
    if (!Grow(larger)) {
      return absl::ResourceExhaustedError(
          absl::StrCat(NameOf(wanted.kind), ": no memory for a buffer of ", larger, " bytes"));
    }
  }
  return MutableBuffer(memory_.get() + end_, capacity_ - end_);
}

bool ReadBuffer::Grow(size_t capacity) noexcept {
  io::AlignedBytes larger = io::AllocateAligned(capacity);
  if (larger == nullptr) return false;
  if (size() > 0) std::memcpy(larger.get(), data(), size());
  end_ -= begin_;
  begin_ = 0;
  memory_ = std::move(larger);
  capacity_ = capacity;
  return true;
}

void ReadBuffer::OnRead(WantedBytes& wanted, size_t count) noexcept {
  if (count == 0) {
    wanted.state = AtEnd(wanted, size());
    wanted.size = size();
  } else if (IsDirect(wanted)) {
    wanted.state = State::kDirect;
    wanted.size = count;
  } else {
    WEFT_CHECK(count <= capacity_ - end_) << "a Read() into " << capacity_ - end_ << " bytes says that it has read "
                                          << count;
    end_ += count;
  }
}

absl::StatusOr<std::string_view> ReadBuffer::Find(const WantedBytes& wanted) const {
  WEFT_DCHECK(wanted.state != State::kOpen);
  if (wanted.state == State::kTooLong) {
    return absl::ResourceExhaustedError(
        absl::StrCat(NameOf(wanted.kind), ": there are more than ", wanted.limit, " bytes"));
  }
  if (wanted.state == State::kEnded) {
    if (wanted.size == 0) return io::EndOfStreamError(NameOf(wanted.kind));
    return absl::OutOfRangeError(absl::StrCat(NameOf(wanted.kind), ": the stream has ended after ", wanted.size,
                                              " of ", wanted.limit, " bytes"));
  }
  if (wanted.state == State::kDirect) return std::string_view(wanted.into.data(), wanted.size);
  return std::string_view(data(), wanted.size);
}

void ReadBuffer::OnTaken(const WantedBytes& wanted) noexcept {
  if (wanted.state == State::kFound && wanted.kind != Kind::kPeek) Consume(wanted.size + wanted.skip);
}

void ReadBuffer::Consume(size_t count) noexcept {
  WEFT_CHECK(count <= size()) << "Consume(" << count << ") of a BufferedReader with " << size() << " bytes";
  begin_ += count;
  searched_ -= std::min(searched_, count);
}

}  // namespace weft::internal
