// Incremental parsers of HTTP/1.1 over llhttp: bytes in, messages out, no I/O.
//
//   http::RequestParser parser(limits);
//   bytes.remove_prefix(parser.Feed(bytes));        // consumes one message at most; the rest is the next one's
//   if (parser.state() == http::ParserState::kComplete) Use(parser.Take());
//   if (parser.state() == http::ParserState::kFailed) Answer(parser.failure());
//
//   state      Feed()                                        Take()
//   kIdle      -> kHead at the first byte of a message       not allowed
//   kHead      -> kBody, kComplete, kFailed                  not allowed
//   kBody      -> kTrailer, kComplete, kFailed               not allowed
//   kTrailer   -> kComplete, kFailed                         not allowed
//   kComplete  consumes nothing                              the message; -> kIdle
//   kFailed    consumes nothing; the connection is useless   not allowed
//
// Input may be split anywhere. Memory is bounded by the limits, whatever the peer sends.
//
// Where RFC 9112 lets a recipient choose, the parsers refuse what two programs may read in two ways. If one of them
// takes a message for two, requests can be smuggled past the other. Refused are: a line that ends in a lone LF, or
// begins with white space (obsolete folding); a request with no Host, with two, or with an invalid one; a length beside
// chunks; a coding other than chunked; a chunk that does not end where it said.
#ifndef WEFT_EXAMPLES_HTTP_PARSER_H_
#define WEFT_EXAMPLES_HTTP_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "examples/http/message.h"
#include "llhttp.h"

namespace http {

struct Limits {
  // Request line and headers, and once more each for trailers and what is written beside the chunks: 431. Browsers send
  // 8 KB at most.
  size_t max_head_bytes = 16 * 1024;
  size_t max_body_bytes = 1024 * 1024;  // 413
};

enum class ParserState : uint8_t { kIdle, kHead, kBody, kTrailer, kComplete, kFailed };

// Why a message was refused, as the status that a server answers with.
struct ParseFailure {
  int status = 400;  // 400, 413, 431, 501, 505
  std::string reason;
};

class Parser {
 public:
  // Consumes `bytes` up to the end of the message, at most. Returns how many.
  size_t Feed(std::string_view bytes);
  // The peer has finished. Completes a response whose body ends with the connection; fails one that is cut off.
  void FeedEnd();

  ParserState state() const { return state_; }
  const ParseFailure& failure() const { return failure_; }

 protected:
  Parser(llhttp_type_t type, Limits limits);
  ~Parser() = default;

  void Reset();  // for the next message
  llhttp_t llhttp_;
  std::string target_;
  Headers headers_;
  std::string body_;
  bool keep_alive_ = false;
  bool answers_head_ = false;  // of a response: it has no body

 private:
  struct Callbacks;
  void Begin(llhttp_type_t type);
  void Fail(int status, std::string reason);
  void FinishField();
  void CheckHead();
  void CheckHost();
  void CheckTransferEncoding();
  bool has_no_body() const;
  size_t FeedLines(std::string_view bytes);
  size_t Execute(std::string_view bytes);

  Limits limits_;
  size_t line_bytes_ = 0;       // of the head, or of the trailer
  size_t extension_bytes_ = 0;  // of all chunks
  char last_ = '\0';            // the last byte of a head or trailer so far
  ParserState state_ = ParserState::kIdle;
  ParseFailure failure_;
  std::string field_name_;
  std::string field_value_;
  bool in_value_ = false;
};

class RequestParser : public Parser {
 public:
  explicit RequestParser(Limits limits = {}) : Parser(HTTP_REQUEST, limits) {}
  Request Take();
  // The client waits for "100 Continue" before it sends the body.
  bool ExpectsContinue() const;
};

class ResponseParser : public Parser {
 public:
  explicit ResponseParser(Limits limits = {}) : Parser(HTTP_RESPONSE, limits) {}
  // Whether the responses from now on answer a HEAD request: then they have no body, whatever length they give. Between
  // two messages.
  void AnswersHead(bool head) { answers_head_ = head; }
  Response Take();
};

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_PARSER_H_
