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
//   kBody      -> kComplete, kFailed                         not allowed
//   kComplete  consumes nothing                              the message; -> kIdle
//   kFailed    consumes nothing; the connection is useless   not allowed
//
// Input may be split anywhere. Memory is bounded by the limits, whatever the peer sends.
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
  size_t max_head_bytes = 16 * 1024;    // request line and headers: 431. Browsers send 8 KB at most
  size_t max_body_bytes = 1024 * 1024;  // 413
};

enum class ParserState : uint8_t { kIdle, kHead, kBody, kComplete, kFailed };

// Why a message was refused, as the status that a server answers with.
struct ParseFailure {
  int status = 400;  // 400, 413, 431, 505
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

  void Reset();
  llhttp_t llhttp_;
  std::string target_;
  Headers headers_;
  std::string body_;
  bool keep_alive_ = false;

 private:
  struct Callbacks;
  void Fail(int status, std::string reason);
  void FinishField();
  size_t Execute(std::string_view bytes);

  Limits limits_;
  size_t head_bytes_ = 0;
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
  // The client waits for "100 Continue" before it sends the body. While in kBody.
  bool ExpectsContinue() const;
};

class ResponseParser : public Parser {
 public:
  explicit ResponseParser(Limits limits = {}) : Parser(HTTP_RESPONSE, limits) {}
  Response Take();
};

}  // namespace http

#endif  // WEFT_EXAMPLES_HTTP_PARSER_H_
