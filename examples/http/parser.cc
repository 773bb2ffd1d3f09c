#include "examples/http/parser.h"

#include <algorithm>
#include <cassert>
#include <utility>

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
    if (parser.state_ == ParserState::kBody) return HPE_OK;  // a trailer of a chunked body: dropped
    if (parser.in_value_) parser.FinishField();
    parser.field_name_.append(at, length);
    return HPE_OK;
  }
  static int OnHeaderValue(llhttp_t* llhttp, const char* at, size_t length) {
    Parser& parser = Of(llhttp);
    if (parser.state_ == ParserState::kBody) return HPE_OK;
    parser.in_value_ = true;
    parser.field_value_.append(at, length);
    return HPE_OK;
  }
  static int OnHeadersComplete(llhttp_t* llhttp) {
    Parser& parser = Of(llhttp);
    if (!parser.field_name_.empty()) parser.FinishField();
    parser.state_ = ParserState::kBody;
    if (llhttp->http_major != 1) {
      parser.Fail(505, absl::StrCat("HTTP/", llhttp->http_major, ".", llhttp->http_minor, " is not spoken here"));
      return HPE_USER;
    }
    if ((llhttp->flags & F_CONTENT_LENGTH) != 0 && llhttp->content_length > parser.limits_.max_body_bytes) {
      parser.Fail(413, absl::StrCat("a body of ", llhttp->content_length, " bytes; the limit is ",
                                    parser.limits_.max_body_bytes));
      return HPE_USER;
    }
    return HPE_OK;
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
  static int OnMessageComplete(llhttp_t* llhttp) {
    Parser& parser = Of(llhttp);
    parser.state_ = ParserState::kComplete;
    parser.keep_alive_ = llhttp_should_keep_alive(llhttp) != 0;
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
      callbacks.on_message_complete = &OnMessageComplete;
      return callbacks;
    }();
    return &settings;
  }
};

Parser::Parser(llhttp_type_t type, Limits limits) : limits_(limits) {
  llhttp_init(&llhttp_, type, Callbacks::Settings());
}

// Also forgets what llhttp knows of the message before: whether another may follow is for the caller to decide.
void Parser::Reset() {
  assert(state_ == ParserState::kComplete);
  llhttp_init(&llhttp_, static_cast<llhttp_type_t>(llhttp_get_type(&llhttp_)), Callbacks::Settings());
  head_bytes_ = 0;
  state_ = ParserState::kIdle;
}

void Parser::Fail(int status, std::string reason) {
  state_ = ParserState::kFailed;
  failure_ = {status, std::move(reason)};
}

void Parser::FinishField() {
  headers_.Add(std::exchange(field_name_, {}), std::exchange(field_value_, {}));
  in_value_ = false;
}

size_t Parser::Feed(std::string_view bytes) {
  size_t consumed = 0;
  while (consumed < bytes.size()) {
    std::string_view rest = bytes.substr(consumed);
    switch (state_) {
      case ParserState::kComplete:
      case ParserState::kFailed:
        return consumed;
      case ParserState::kIdle:
      case ParserState::kHead: {
        // No more than the head may hold; so a head that is still incomplete after that is too long.
        rest = rest.substr(0, limits_.max_head_bytes - head_bytes_);
        const size_t executed = Execute(rest);
        head_bytes_ += executed;
        consumed += executed;
        const bool in_head = state_ == ParserState::kIdle || state_ == ParserState::kHead;
        if (in_head && head_bytes_ >= limits_.max_head_bytes) {
          Fail(431, absl::StrCat("a request line and headers of more than ", limits_.max_head_bytes, " bytes"));
        }
        break;
      }
      case ParserState::kBody:
        consumed += Execute(rest);
        break;
    }
  }
  return consumed;
}

size_t Parser::Execute(std::string_view bytes) {
  llhttp_.data = this;  // at every call: the parser may have been moved
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  if (error == HPE_OK) return bytes.size();
  if (state_ != ParserState::kComplete && state_ != ParserState::kFailed) {
    Fail(400, absl::StrCat(llhttp_errno_name(error), ": ", llhttp_get_error_reason(&llhttp_)));
  }
  const char* stopped_at = llhttp_get_error_pos(&llhttp_);
  if (stopped_at == nullptr) return bytes.size();
  return std::min(static_cast<size_t>(stopped_at - bytes.data()), bytes.size());
}

void Parser::FeedEnd() {
  if (state_ != ParserState::kHead && state_ != ParserState::kBody) return;
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
  return state() == ParserState::kBody && expect != nullptr && *expect == "100-continue";
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
