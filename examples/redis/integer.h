// Integers as text, as strictly as Redis reads them: no white space, no "+".
#ifndef WEFT_EXAMPLES_REDIS_INTEGER_H_
#define WEFT_EXAMPLES_REDIS_INTEGER_H_

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace redis {

// Nothing if `text` is something else, or does not fit.
inline std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace redis

#endif  // WEFT_EXAMPLES_REDIS_INTEGER_H_
