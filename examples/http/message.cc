#include "examples/http/message.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace http {
namespace {

// What Serialize() writes itself, or what tells of a body that would be sent in another way. A second one would make
// two messages of one.
bool IsOurs(std::string_view name) {
  return EqualIgnoringCase(name, "Host") || EqualIgnoringCase(name, "Content-Length") ||
         EqualIgnoringCase(name, "Transfer-Encoding");
}

// Without a length if there is nothing that it could be the length of.
void AppendRest(std::string& out, const Headers& headers, std::optional<size_t> length, bool keep_alive) {
  for (const auto& [name, value] : headers.fields()) {
    if (!IsOurs(name)) absl::StrAppend(&out, name, ": ", value, "\r\n");
  }
  if (!keep_alive) absl::StrAppend(&out, "Connection: close\r\n");
  if (length.has_value()) absl::StrAppend(&out, "Content-Length: ", *length, "\r\n");
  absl::StrAppend(&out, "\r\n");
}

std::string OnOneLine(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  return text;
}

}  // namespace

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return absl::ascii_tolower(x) == absl::ascii_tolower(y); });
}

void Headers::Add(std::string name, std::string value) {
  fields_.emplace_back(OnOneLine(std::move(name)), OnOneLine(std::move(value)));
}

const std::string* Headers::Find(std::string_view name) const {
  for (const auto& field : fields_) {
    if (EqualIgnoringCase(field.first, name)) return &field.second;
  }
  return nullptr;
}

size_t Headers::Count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(fields_.begin(), fields_.end(), [&](const auto& field) {
    return EqualIgnoringCase(field.first, name);
  }));
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
  }
  return "Unnamed";
}

bool HasNoBody(int status) { return status / 100 == 1 || status == 204 || status == 304; }

bool IsOneRequest(const Request& request) {
  const auto may_be_in_token = [](unsigned char c) {  // RFC 9110, 5.6.2
    return absl::ascii_isalnum(c) || (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
  };
  const auto may_not_be_in_target = [](unsigned char c) { return absl::ascii_iscntrl(c) || absl::ascii_isspace(c); };
  return !request.method.empty() && absl::c_all_of(request.method, may_be_in_token) &&  //
         !request.target.empty() && absl::c_none_of(request.target, may_not_be_in_target);
}

std::string Serialize(const Request& request, std::string_view host) {
  if (const std::string* named = request.headers.Find("Host")) host = *named;
  std::string out = absl::StrCat(request.method, " ", request.target,
                                 " HTTP/1.1\r\nHost: ", absl::string_view(host.data(), host.size()), "\r\n");
  AppendRest(out, request.headers, request.body.size(), request.keep_alive);
  out += request.body;
  return out;
}

std::string Serialize(const Response& response, bool head_only) {
  std::string out = absl::StrCat("HTTP/1.1 ", response.status, " ");
  out += ReasonPhrase(response.status);
  out += "\r\n";
  const bool no_body = HasNoBody(response.status);
  const uint64_t size = response.source.has_value() ? response.source->size : response.body.size();
  AppendRest(out, response.headers, no_body ? std::nullopt : std::optional(size), response.keep_alive);
  if (!no_body && !head_only && !response.source.has_value()) out += response.body;
  return out;
}

std::string_view PathOf(std::string_view target) { return target.substr(0, target.find('?')); }

std::optional<std::string_view> QueryValue(std::string_view target, std::string_view name) {
  for (size_t at = target.find('?'); at != std::string_view::npos;) {
    const size_t begin = at + 1;
    at = target.find('&', begin);
    const std::string_view pair = target.substr(begin, at == std::string_view::npos ? at : at - begin);
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  }
  return std::nullopt;
}

}  // namespace http
