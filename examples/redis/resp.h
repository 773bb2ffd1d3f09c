// RESP2, the protocol of Redis: commands out of bytes, and replies into bytes. No I/O.
//
//   *2\r\n$3\r\nGET\r\n$5\r\ncolor\r\n       a command: an array of bulk strings
//   GET color\r\n                            the same inline, for people with telnet; nothing is quoted
//
//   Arguments arguments;
//   absl::StatusOr<Parsed> parsed = ParseCommand(bytes, limits, arguments);
//   if (!parsed.ok()) Answer(parsed.status());       // nothing after this can be understood
//   else if (parsed->whole) bytes.remove_prefix(parsed->bytes);
//   else ReadUntilThereAre(parsed->bytes);           // and parse again, from the beginning
//
// Cost: to parse again looks once at each argument that has come, not at its bytes.
// (https://redis.io/docs/latest/develop/reference/protocol-spec)
#ifndef WEFT_EXAMPLES_REDIS_RESP_H_
#define WEFT_EXAMPLES_REDIS_RESP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace redis {

// Of a command. A client that goes over one gets an error that names it.
struct Limits {
  size_t max_arguments = 1024;
  size_t max_line_bytes = 4 << 10;     // an inline command, or a length
  size_t max_command_bytes = 8 << 20;  // all of it, lengths too
};

// The words of a command, the first of which is its name. They lie in the bytes that were parsed.
using Arguments = std::vector<std::string_view>;

struct Parsed {
  bool whole = false;
  size_t bytes = 0;  // of the command; if it is not whole, as many as must be there before it can be
};

// Parses the command that `bytes` begin with. kInvalidArgument says, in words for the client, what is wrong with it. An
// empty line and an empty array are commands without arguments, which want no reply.
absl::StatusOr<Parsed> ParseCommand(std::string_view bytes, const Limits& limits, Arguments& arguments);

// The bytes of replies, one after the other.
class Reply {
 public:
  void Simple(std::string_view text);  // one line
  // `text` begins with a code: "ERR no such thing". Bytes that would end the line are replaced.
  void Error(std::string_view text);
  void Integer(int64_t value);
  void Bulk(std::string_view bytes);
  void Null();
  void Array(size_t size);  // so many replies follow
  void Append(const Reply& replies) { bytes_ += replies.bytes_; }

  std::string_view bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

}  // namespace redis

#endif  // WEFT_EXAMPLES_REDIS_RESP_H_
