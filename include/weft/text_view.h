// TextView: how Weft takes text. Converts from a std::string, a literal, a std::string_view, an absl::string_view, and
// anything that converts to one of the last two. (Abseil built as C++14, like Debian 12's, has a string_view of its
// own. Neither of the two string_views converts to the other.)
//
//   TcpListener::Bind("127.0.0.1:80");  TcpListener::Bind(absl::StripSuffix(line, "\n"));
//
// A TextView is a std::string_view. It does not own the text, which must outlive it.
#ifndef WEFT_TEXT_VIEW_H_
#define WEFT_TEXT_VIEW_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "absl/strings/string_view.h"

namespace weft {
namespace internal {

template <class T>
concept IsText = std::convertible_to<const T&, std::string_view> || std::convertible_to<const T&, absl::string_view>;

}  // namespace internal

class [[gsl::Pointer(const char)]] TextView : public std::string_view {
 public:
  constexpr TextView() noexcept = default;
  constexpr TextView(const char* data, size_t size) noexcept : std::string_view(data, size) {}
  // A literal, up to its terminating zero; any other text, whole.
  template <internal::IsText T>
    requires(!std::is_base_of_v<std::string_view, T>)
  constexpr TextView(const T& text) : TextView(From(text)) {}
  constexpr TextView(std::string_view text) noexcept : std::string_view(text) {}
  TextView(std::nullptr_t) = delete;  // a null pointer is no text

  // To absl::string_view, where that is another type.
  template <std::same_as<absl::string_view> Other>
    requires(!std::same_as<Other, std::string_view>)
  constexpr operator Other() const noexcept {
    return Other(data(), size());
  }

 private:
  template <class T>
  static constexpr TextView From(const T& text) {
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      return TextView(static_cast<std::string_view>(text));
    } else {
      const absl::string_view converted = text;
      return TextView(converted.data(), converted.size());
    }
  }
};

}  // namespace weft

#endif  // WEFT_TEXT_VIEW_H_
