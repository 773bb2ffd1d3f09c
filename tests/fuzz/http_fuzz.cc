// The HTTP parsers and any bytes: what is read does not depend on the pieces in which it comes, and stays within the
// limits.
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "tests/fuzz/fuzz.h"
#include "weft/internal/check.h"

namespace {

using weft::testing::FuzzPieces;

// Small, so that they are reached.
constexpr http::Limits kLimits = {.max_head_bytes = 256, .max_body_bytes = 128};

void AppendFields(const http::Headers& headers, const std::string& body, bool keep_alive, std::string& seen) {
  for (const auto& [name, value] : headers.fields()) absl::StrAppend(&seen, name, "=", value, "\n");
  absl::StrAppend(&seen, keep_alive, " ", body, "\n");
  WEFT_CHECK(body.size() <= kLimits.max_body_bytes) << body.size();
}

void Append(const http::Request& request, std::string& seen) {
  absl::StrAppend(&seen, request.method, " ", request.target, "\n");
  AppendFields(request.headers, request.body, request.keep_alive, seen);
}

void Append(const http::Response& response, std::string& seen) {
  absl::StrAppend(&seen, response.status, "\n");
  AppendFields(response.headers, response.body, response.keep_alive, seen);
}

// Everything that the bytes mean.
template <class Parser>
std::string Read(std::string_view bytes, FuzzPieces pieces) {
  Parser parser(kLimits);
  std::string seen;
  for (bool ended = false; !ended;) {
    if (bytes.empty()) {
      parser.FeedEnd();
      ended = true;
    } else {
      const std::string_view piece = bytes.substr(0, pieces.Next());
      const size_t used = parser.Feed(piece);
      WEFT_CHECK(used <= piece.size()) << used << " of " << piece.size();
      WEFT_CHECK(used == piece.size() || parser.state() == http::ParserState::kComplete ||
                 parser.state() == http::ParserState::kFailed)
          << "bytes are left, but nothing is complete";
      bytes.remove_prefix(used);
    }
    if (parser.state() == http::ParserState::kComplete) {
      Append(parser.Take(), seen);
    } else if (parser.state() == http::ParserState::kFailed) {
      absl::StrAppend(&seen, "failed: ", parser.failure().status, " ", parser.failure().reason, "\n");
      return seen;
    }
  }
  return seen;
}

template <class Parser>
void Compare(std::string_view bytes, FuzzPieces pieces) {
  const std::string whole = Read<Parser>(bytes, FuzzPieces(""));
  const std::string cut = Read<Parser>(bytes, pieces);
  WEFT_CHECK(whole == cut) << "at once:\n" << whole << "in pieces:\n" << cut;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weft::testing::FuzzInput input({reinterpret_cast<const char*>(data), size});
  const FuzzPieces pieces(input.Take(4));
  Compare<http::RequestParser>(input.rest(), pieces);
  Compare<http::ResponseParser>(input.rest(), pieces);
  return 0;
}
