// ConstBuffer and MutableBuffer: how Weft takes bytes, to write and to read into. They do not own the bytes, like a
// std::span: the caller keeps the bytes until the operation has ended.
//
//   co_await stream.Write("ping");                    // text: anything that is a TextView
//   co_await stream.Write({&header, sizeof(header)}); // any object's bytes
//   co_await stream.Read(buffer);                     // a std::vector<char>, a char[64], a std::span<std::byte>, ...
//
// A contiguous range converts if its elements are char, unsigned char or std::byte. Whatever is both text and a range
// is taken as text: an array of char is written up to its first zero, or whole if it has none. `{array, size}` does not
// look for zeros.
#ifndef WEFT_IO_BUFFER_H_
#define WEFT_IO_BUFFER_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <type_traits>

#include "weft/text_view.h"

namespace weft {

class ConstBuffer;
class MutableBuffer;

namespace internal {

template <class T>
concept IsByte = std::same_as<T, char> || std::same_as<T, unsigned char> || std::same_as<T, std::byte>;

template <class Range>
concept BytesToRead = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
                      IsByte<std::remove_cv_t<std::ranges::range_value_t<Range>>>;

template <class Range>
concept BytesToFill =
    BytesToRead<Range> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>;

template <class T>
concept IsBuffer =
    std::same_as<std::remove_cvref_t<T>, ConstBuffer> || std::same_as<std::remove_cvref_t<T>, MutableBuffer>;

}  // namespace internal

// Bytes that are only read.
class [[gsl::Pointer(const char)]] ConstBuffer {
 public:
  constexpr ConstBuffer() noexcept = default;
  ConstBuffer(const void* data, size_t size) noexcept : data_(static_cast<const char*>(data)), size_(size) {}
  template <class T>
    requires(!internal::IsBuffer<T> && (internal::IsText<T> || internal::BytesToRead<const T&>))
  ConstBuffer(const T& bytes) : ConstBuffer(From(bytes)) {}

  const char* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  // The first `count` bytes, or all if they are fewer.
  ConstBuffer first(size_t count) const noexcept { return ConstBuffer(data_, std::min(count, size_)); }
  // `count` is at most size().
  void remove_prefix(size_t count) noexcept {
    data_ += count;
    size_ -= count;
  }

 private:
  template <class T>
  static ConstBuffer From(const T& bytes) {
    if constexpr (std::same_as<std::remove_all_extents_t<T>, char> && std::rank_v<T> == 1) {
      return ConstBuffer(bytes, std::min(std::string_view(bytes, std::extent_v<T>).find('\0'), std::extent_v<T>));
    } else if constexpr (internal::IsText<T>) {
      const TextView text = bytes;
      return ConstBuffer(text.data(), text.size());
    } else {
      return ConstBuffer(std::ranges::data(bytes), std::ranges::size(bytes));
    }
  }

  const char* data_ = nullptr;
  size_t size_ = 0;
};

// Bytes that are written to.
class [[gsl::Pointer(char)]] MutableBuffer {
 public:
  constexpr MutableBuffer() noexcept = default;
  MutableBuffer(void* data, size_t size) noexcept : data_(static_cast<char*>(data)), size_(size) {}
  template <class Range>
    requires(!internal::IsBuffer<Range> && internal::BytesToFill<Range>)
  MutableBuffer(Range&& bytes) : MutableBuffer(std::ranges::data(bytes), std::ranges::size(bytes)) {}

  char* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  // The first `count` bytes, or all if they are fewer.
  MutableBuffer first(size_t count) const noexcept { return MutableBuffer(data_, std::min(count, size_)); }
  // `count` is at most size().
  void remove_prefix(size_t count) noexcept {
    data_ += count;
    size_ -= count;
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace weft

#endif  // WEFT_IO_BUFFER_H_
