// Requests and responses of HTTP/1.1, as values. parser.h reads them; Serialize() writes them.
#ifndef WEFT_EXAMPLES_HTTP_MESSAGE_H_
#define WEFT_EXAMPLES_HTTP_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace http {

// Without regard to case, which only ASCII has.
bool EqualIgnoringCase(std::string_view a, std::string_view b);

// Header fields in the order they came in. Names are compared without regard to case.
class Headers {
 public:
  // CR, LF and NUL become spaces, so that nobody's text begins a field of its own. (RFC 9110, 5.5)
  void Add(std::string name, std::string value);
  // The first field of that name, or null. Valid until the next Add().
  const std::string* Find(std::string_view name) const;
  // How many fields have that name.
  size_t Count(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method = "GET";
  std::string target = "/";  // path and query
  Headers headers{};
  std::string body{};
  bool keep_alive = true;
};

// A body that is not in memory: it is read piece by piece, while it is sent.
struct BodySource {
  uint64_t size = 0;  // bytes: of all of it
  // Reads at least one byte from `offset` on. Fewer bytes than `size` in all, or an error, end the connection: the
  // client has been told how long the body is.
  std::function<weft::Task<absl::StatusOr<size_t>>(weft::MutableBuffer piece, uint64_t offset)> read_at;
};

struct Response {
  int status = 200;
  Headers headers{};
  std::string body{};
  std::optional<BodySource> source{};  // in place of `body`
  bool keep_alive = true;
};

// "Not Found" for 404.
std::string_view ReasonPhrase(int status);

// A response of that status has no body, whatever its headers say: 1xx, 204 and 304. (RFC 9112, 6.3)
bool HasNoBody(int status);

// Its method is a token, and its target has no space and no control character: it cannot be taken for more than one.
bool IsOneRequest(const Request& request);

// The bytes to send. Connection, where it is not keep-alive, is written by it and must not be among the headers. So is
// Content-Length; of the headers, that and a Transfer-Encoding are left out. The first Host among a request's headers
// is sent in place of `host`, and no other.
std::string Serialize(const Request& request, std::string_view host);
// `head_only`: the answer to a HEAD request, which has a Content-Length but no body. A body under a status that has
// none is left out, and its length with it. What comes from a source is not among the bytes, but its length is.
std::string Serialize(const Response& response, bool head_only = false);

// "/user/7" of "/user/7?full=1".
std::string_view PathOf(std::string_view target);
// "1" for "full" in "/user/7?full=1". Nothing is unescaped.
std::optional<std::string_view> QueryValue(std::string_view target, std::string_view name);

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_MESSAGE_H_
