#include "examples/http/parser.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace http {

// What llhttp calls while it executes. A callback that has failed the parser returns HPE_USER, which ends the
// execution.
struct Parser::Callbacks {
  static Parser& Of(llhttp_t* llhttp) { return *static_cast<Parser*>(llhttp->data); }

  static int OnMessageBegin(llhttp_t* llhttp) {
    Of(llhttp).state_ = ParserState::kHead;
    return HPE_OK;
  }
  static int OnUrl(llhttp_t* llhttp, const char* at, size_t length) {
    Of(llhttp).target_.append(at, length);
    return HPE_OK;
  }
  static int OnHeaderField(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& parser = Of(llhttp);
    if (parser.state_ != ParserState::kHead) return HPE_OK;  // a trailer: dropped
    if (parser.in_value_) parser.FinishField();
    parser.field_name_.append(at, length);
    return HPE_OK;
  }
  static int OnHeaderValue(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& parser = Of(llhttp);
    if (parser.state_ != ParserState::kHead) return HPE_OK;
    parser.in_value_ = true;
    parser.field_value_.append(at, length);
    return HPE_OK;
  }
  static int OnHeadersComplete(llhttp_t* llhttp) {
    constexpr int kNoBody = 1;
    Parser& parser = Of(llhttp);
    if (!parser.field_name_.empty()) parser.FinishField();
    parser.state_ = ParserState::kBody;
    parser.CheckHead();
    if (parser.state_ == ParserState::kFailed) return HPE_USER;
    return parser.has_no_body() ? kNoBody : HPE_OK;
  }
  static int OnBody(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& parser = Of(llhttp);
    if (parser.body_.size() + length > parser.limits_.max_body_bytes) {
      parser.Fail(413, absl::StrCat("a body of more than ", parser.limits_.max_body_bytes, " bytes"));
      return HPE_USER;
    }
    parser.body_.append(at, length);
    return HPE_OK;
  }
  static int OnChunkHeader(llhttp_t* llhttp) {
    if (llhttp->content_length > 0) return HPE_OK;
    Parser& parser = Of(llhttp);
    parser.state_ = ParserState::kTrailer;
    parser.line_bytes_ = 0;
    parser.last_ = '\n';
    return HPE_PAUSED;  // what follows is lines again
  }
  static int OnChunkExtension(llhttp_t* llhttp, const char*, size_t length) {
    Parser& parser = Of(llhttp);
    parser.extension_bytes_ += length;
    if (parser.extension_bytes_ <= parser.limits_.max_head_bytes) return HPE_OK;
    parser.Fail(431, absl::StrCat("extensions of chunks of more than ", parser.limits_.max_head_bytes, " bytes"));
    return HPE_USER;
  }
  static int OnMessageComplete(llhttp_t* llhttp) {
    Parser& parser = Of(llhttp);
    parser.state_ = ParserState::kComplete;
    // What comes after a CONNECT is no HTTP.
    parser.keep_alive_ = llhttp_should_keep_alive(llhttp) != 0 &&
                         !(llhttp->type == HTTP_REQUEST && llhttp->method == HTTP_CONNECT);
    return HPE_PAUSED;  // what follows is the next message's
  }

  static const llhttp_settings_t* Settings() {
    static const llhttp_settings_t settings = [] {
      llhttp_settings_t callbacks;
      llhttp_settings_init(&callbacks);
      callbacks.on_message_begin = &OnMessageBegin;
      callbacks.on_url = &OnUrl;
      callbacks.on_header_field = &OnHeaderField;
      callbacks.on_header_value = &OnHeaderValue;
      callbacks.on_headers_complete = &OnHeadersComplete;
      callbacks.on_body = &OnBody;
      callbacks.on_chunk_header = &OnChunkHeader;
      callbacks.on_chunk_extension_name = &OnChunkExtension;
      callbacks.on_chunk_extension_value = &OnChunkExtension;
      callbacks.on_message_complete = &OnMessageComplete;
      return callbacks;
    }();
    return &settings;
  }
};

Parser::Parser(llhttp_type_t type, Limits limits) : limits_(limits) { Begin(type); }

void Parser::Begin(llhttp_type_t type) {
  llhttp_init(&llhttp_, type, Callbacks::Settings());
  llhttp_.lenient_flags |= LENIENT_VERSION;  // any version that is one: CheckHead() knows ours
}

// Also forgets what llhttp knows of the message before: whether another may follow is for the caller to decide.
void Parser::Reset() {
  assert(state_ == ParserState::kComplete);
  Begin(static_cast<llhttp_type_t>(llhttp_get_type(&llhttp_)));
  line_bytes_ = extension_bytes_ = 0;
  last_ = '\0';
  state_ = ParserState::kIdle;
}

void Parser::Fail(int status, std::string reason) {
  state_ = ParserState::kFailed;
  failure_ = {status, std::move(reason)};
}

void Parser::FinishField() {
  const std::string value = std::exchange(field_value_, {});
  headers_.Add(std::exchange(field_name_, {}), std::string(absl::StripTrailingAsciiWhitespace(value)));
  in_value_ = false;
}

bool Parser::has_no_body() const {
  return llhttp_.type == HTTP_RESPONSE && (answers_head_ || HasNoBody(llhttp_.status_code));
}

// The rules that llhttp leaves to its users.
void Parser::CheckHead() {
  if (llhttp_.http_major != 1 || llhttp_.http_minor > 1) {
    Fail(505, absl::StrCat("HTTP/", llhttp_.http_major, ".", llhttp_.http_minor, " is not spoken here"));
    return;
  }
  if (llhttp_.type == HTTP_REQUEST) CheckHost();
  CheckTransferEncoding();
  if (!has_no_body() && llhttp_.content_length > limits_.max_body_bytes) {
    Fail(413, absl::StrCat("a body of ", llhttp_.content_length, " bytes; the limit is ", limits_.max_body_bytes));
  }
}

void Parser::CheckHost() {
  // Those of a name, of an address in brackets, and of a port. (RFC 3986, 3.2.2)
  constexpr std::string_view kPunctuation = "-._~!$&'()*+,;=%:[]";
  const size_t hosts = headers_.Count("Host");
  if (hosts > 1) return Fail(400, absl::StrCat(hosts, " Host headers"));
  if (hosts == 0) {
    if (llhttp_.http_minor > 0) Fail(400, "no Host header");
    return;
  }
  for (char c : *headers_.Find("Host")) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && kPunctuation.find(c) == std::string_view::npos)
      return Fail(400, "a Host header that is no host");
  }
}

void Parser::CheckTransferEncoding() {
  if (headers_.Count("Transfer-Encoding") == 0) return;
  if (llhttp_.http_minor == 0) return Fail(400, "Transfer-Encoding, which HTTP/1.0 does not have");
  if (headers_.Count("Transfer-Encoding") > 1 || !EqualIgnoringCase(*headers_.Find("Transfer-Encoding"), "chunked"))
    Fail(501, "a Transfer-Encoding other than chunked");
}

size_t Parser::Feed(std::string_view bytes) {
  size_t consumed = 0;
  while (consumed < bytes.size() && state_ != ParserState::kComplete && state_ != ParserState::kFailed) {
    const std::string_view rest = bytes.substr(consumed);
    consumed += state_ == ParserState::kBody ? Execute(rest) : FeedLines(rest);
  }
  return consumed;
}

// Of a head or a trailer; not beyond the next line that begins with white space, which llhttp would fold, or with a
// colon, which it would take for a header without a name; and not beyond the next LF without a CR, which it would take
// for the end of a line. (A body behind the lines is cut at these, too, and then goes on as a body.)
size_t Parser::FeedLines(std::string_view bytes) {
  size_t good = 0;
  for (char before = last_; good < bytes.size(); before = bytes[good++]) {
    const char byte = bytes[good];
    if (before == '\n' && (byte == ' ' || byte == '\t' || byte == ':')) break;
    if (before != '\r' && byte == '\n') break;
  }
  if (good == 0) {
    Fail(400, bytes[0] == '\n' ? "an LF without a CR" : "a line that begins with white space or a colon");
    return 0;
  }
  // No more than may be; so what is still incomplete after that is too long.
  bytes = bytes.substr(0, std::min(good, limits_.max_head_bytes - line_bytes_));
  const bool trailer = state_ == ParserState::kTrailer;
  const size_t executed = Execute(bytes);
  // Still the same lines.
  if (trailer ? state_ == ParserState::kTrailer : state_ == ParserState::kIdle || state_ == ParserState::kHead) {
    line_bytes_ += executed;
    if (executed > 0) last_ = bytes[executed - 1];
    if (line_bytes_ >= limits_.max_head_bytes)
      Fail(431, absl::StrCat("a request line and headers of more than ", limits_.max_head_bytes, " bytes"));
  }
  return executed;
}

size_t Parser::Execute(std::string_view bytes) {
  llhttp_.data = this;  // at every call: the parser may have been moved
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  if (error == HPE_OK) return bytes.size();
  const char* stopped_at = llhttp_get_error_pos(&llhttp_);
  if (error == HPE_PAUSED && state_ == ParserState::kTrailer) {
    llhttp_resume(&llhttp_);
  } else if (state_ != ParserState::kComplete && state_ != ParserState::kFailed) {
    Fail(400, absl::StrCat(llhttp_errno_name(error), ": ", llhttp_get_error_reason(&llhttp_)));
  }
  if (stopped_at == nullptr) return bytes.size();
  return std::min(static_cast<size_t>(stopped_at - bytes.data()), bytes.size());
}

void Parser::FeedEnd() {
  if (state_ == ParserState::kIdle || state_ == ParserState::kComplete || state_ == ParserState::kFailed) return;
  llhttp_.data = this;
  llhttp_finish(&llhttp_);
  if (state_ != ParserState::kComplete) Fail(400, "the connection ended within a message");
}

Request RequestParser::Take() {
  const char* method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_get_method(&llhttp_)));
  Reset();
  return {.method = method,
          .target = std::exchange(target_, {}),
          .headers = std::exchange(headers_, {}),
          .body = std::exchange(body_, {}),
          .keep_alive = keep_alive_};
}

bool RequestParser::ExpectsContinue() const {
  const std::string* expect = headers_.Find("Expect");
  return state() == ParserState::kBody && llhttp_.http_minor > 0 && expect != nullptr &&
         EqualIgnoringCase(*expect, "100-continue");
}

Response ResponseParser::Take() {
  const int status = llhttp_get_status_code(&llhttp_);
  Reset();
  return {.status = status,
          .headers = std::exchange(headers_, {}),
          .body = std::exchange(body_, {}),
          .keep_alive = keep_alive_};
}

}  // namespace http
