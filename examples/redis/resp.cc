#include "examples/redis/resp.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "examples/redis/integer.h"

namespace redis {
namespace {

template <class... Words>
absl::Status ProtocolError(const Words&... words) {
  return absl::InvalidArgumentError(absl::StrCat("ERR Protocol error: ", words...));
}

// One walk over the bytes. Each step yields nothing if its bytes have not all come; then needed() says how many must be
// there.
class Walk {
 public:
  Walk(std::string_view bytes, const Limits& limits) : bytes_(bytes), limits_(limits) {}

  size_t position() const { return position_; }
  size_t needed() const { return needed_; }

  // Up to the next newline, without it.
  absl::StatusOr<std::optional<std::string_view>> Line() {
    // Two bytes more, for the end of the longest line.
    const std::string_view rest = bytes_.substr(position_, limits_.max_line_bytes + 2);
    const size_t end = rest.find('\n');
    if (end == rest.npos) {
      if (rest.size() == limits_.max_line_bytes + 2) return LineTooLong();
      needed_ = bytes_.size() + 1;
      return std::nullopt;
    }
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > limits_.max_line_bytes) return LineTooLong();
    position_ += end + 1;
    return line;
  }

  // "$<length>\r\n<bytes>\r\n"
  absl::StatusOr<std::optional<std::string_view>> Bulk() {
    absl::StatusOr<std::optional<std::string_view>> line = Line();
    if (!line.ok() || !line->has_value()) return line;
    const std::string_view header = **line;
    if (!header.starts_with('$')) return ProtocolError("expected '$', got '", std::string(header.substr(0, 1)), "'");
    const std::optional<int64_t> length = ParseInteger(header.substr(1));
    if (!length.has_value() || *length < 0) return ProtocolError("invalid bulk length");
    const auto size = static_cast<size_t>(*length);
    if (size > limits_.max_command_bytes || position_ + size + 2 > limits_.max_command_bytes) {
      return ProtocolError("a command of more than ", limits_.max_command_bytes, " bytes");
    }
    if (bytes_.size() < position_ + size + 2) {
      needed_ = position_ + size + 2;
      return std::nullopt;
    }
    if (bytes_.substr(position_ + size, 2) != "\r\n") return ProtocolError("a bulk string is longer than its length");
    const std::string_view bulk = bytes_.substr(position_, size);
    position_ += size + 2;
    return bulk;
  }

 private:
  absl::Status LineTooLong() const { return ProtocolError("a line of more than ", limits_.max_line_bytes, " bytes"); }

  const std::string_view bytes_;
  const Limits& limits_;
  size_t position_ = 0;
  size_t needed_ = 0;
};

}  // namespace

absl::StatusOr<Parsed> ParseCommand(std::string_view bytes, const Limits& limits, Arguments& arguments) {
  arguments.clear();
  Walk walk(bytes, limits);
  const absl::StatusOr<std::optional<std::string_view>> line = walk.Line();
  if (!line.ok()) return line.status();
  if (!line->has_value()) return Parsed{.bytes = walk.needed()};
  const absl::Status too_many = ProtocolError("a command of more than ", limits.max_arguments, " arguments");

  if (!(*line)->starts_with('*')) {
    constexpr std::string_view kSpace = " \t";
    std::string_view rest = **line;
    while (rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size())), !rest.empty()) {
      if (arguments.size() == limits.max_arguments) return too_many;
      arguments.push_back(rest.substr(0, rest.find_first_of(kSpace)));
      rest.remove_prefix(arguments.back().size());
    }
    return Parsed{.whole = true, .bytes = walk.position()};
  }

  const std::optional<int64_t> count = ParseInteger((*line)->substr(1));
  if (!count.has_value()) return ProtocolError("invalid multibulk length");
  if (*count > static_cast<int64_t>(limits.max_arguments)) return too_many;
  for (int64_t i = 0; i < *count; ++i) {
    const absl::StatusOr<std::optional<std::string_view>> bulk = walk.Bulk();
    if (!bulk.ok()) return bulk.status();
    if (!bulk->has_value()) return Parsed{.bytes = walk.needed()};
    arguments.push_back(**bulk);
  }
  return Parsed{.whole = true, .bytes = walk.position()};
}

void Reply::Simple(std::string_view text) { bytes_.append("+").append(text).append("\r\n"); }

void Reply::Error(std::string_view text) {
  bytes_ += '-';
  for (char c : text) bytes_ += absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : ' ';
  bytes_ += "\r\n";
}

void Reply::Integer(int64_t value) { absl::StrAppend(&bytes_, ":", value, "\r\n"); }

void Reply::Bulk(std::string_view bytes) {
  absl::StrAppend(&bytes_, "$", bytes.size(), "\r\n");
  bytes_.append(bytes).append("\r\n");
}

void Reply::Null() { bytes_ += "$-1\r\n"; }
void Reply::Array(size_t size) { absl::StrAppend(&bytes_, "*", size, "\r\n"); }

}  // namespace redis
