// The HTTP parsers of the examples. Goal: messages come out whole however their bytes are split, and limits hold
// exactly. Method: each input is fed whole, and again byte by byte, and gives the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "tests/examples/http_messages.h"

namespace http {
namespace {

constexpr Limits kLimits = {.max_head_bytes = 128, .max_body_bytes = 16};

// What came of some bytes: the messages, and the state after them.
struct Parsed {
  std::vector<Request> requests;
  ParserState state = ParserState::kIdle;
  int status = 0;  // of the failure
};

Parsed Parse(std::string_view bytes, size_t at_once, Limits limits) {
  RequestParser parser(limits);
  Parsed parsed;
  while (!bytes.empty() && parser.state() != ParserState::kFailed) {
    const size_t consumed = parser.Feed(bytes.substr(0, at_once));
    bytes.remove_prefix(consumed);
    if (parser.state() == ParserState::kComplete) parsed.requests.push_back(parser.Take());
  }
  parsed.state = parser.state();
  if (parsed.state == ParserState::kFailed) parsed.status = parser.failure().status;
  return parsed;
}

class HttpParserTest : public testing::TestWithParam<size_t> {
 protected:
  static Parsed Parse(std::string_view bytes) { return ParseWith(kLimits, bytes); }
  static Parsed ParseWith(Limits limits, std::string_view bytes) { return http::Parse(bytes, GetParam(), limits); }
};

INSTANTIATE_TEST_SUITE_P(BytesAtOnce, HttpParserTest, testing::Values(1, 2, 7, 1'000'000),
                         testing::PrintToStringParamName());

TEST_P(HttpParserTest, ARequestWithoutABody) {
  const Parsed parsed = Parse("GET /user/7?full=1 HTTP/1.1\r\nHost: localhost\r\nX-Empty:\r\n\r\n");
  ASSERT_EQ(parsed.requests.size(), 1u);
  const Request& request = parsed.requests[0];
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/user/7?full=1");
  EXPECT_EQ(request.body, "");
  EXPECT_TRUE(request.keep_alive);
  ASSERT_NE(request.headers.Find("host"), nullptr);
  EXPECT_EQ(*request.headers.Find("HOST"), "localhost");
  ASSERT_NE(request.headers.Find("x-empty"), nullptr);
  EXPECT_EQ(*request.headers.Find("x-empty"), "");
  EXPECT_EQ(request.headers.Find("x-other"), nullptr);
  EXPECT_EQ(parsed.state, ParserState::kIdle);
}

TEST_P(HttpParserTest, ABodyByItsLengthAndABodyInChunks) {
  for (const char* request :
       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"}) {
    const Parsed parsed = Parse(request);
    ASSERT_EQ(parsed.requests.size(), 1u) << request;
    EXPECT_EQ(parsed.requests[0].body, "hello");
    EXPECT_EQ(parsed.requests[0].headers.Find("Trailer"), nullptr);
    EXPECT_EQ(parsed.state, ParserState::kIdle);
  }
}

TEST_P(HttpParserTest, RequestsInARowAreParsedOneByOne) {
  const Parsed parsed = Parse(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n"
      "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /4");
  ASSERT_EQ(parsed.requests.size(), 3u);
  EXPECT_EQ(parsed.requests[0].target, "/1");
  EXPECT_EQ(parsed.requests[1].target, "/2");
  EXPECT_EQ(parsed.requests[1].body, "x");
  EXPECT_EQ(parsed.requests[2].target, "/3");
  EXPECT_EQ(parsed.state, ParserState::kHead);
}

TEST_P(HttpParserTest, WhetherTheConnectionLives) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
  };
  for (const auto& [request, keep_alive] : cases) {
    const Parsed parsed = Parse(request);
    ASSERT_EQ(parsed.requests.size(), 1u) << request;
    EXPECT_EQ(parsed.requests[0].keep_alive, keep_alive) << request;
  }
}

TEST_P(HttpParserTest, WhatIsRefused) {
  for (const RefusedRequest& refused : RefusedRequests()) {
    const Parsed parsed = ParseWith({}, refused.bytes);
    EXPECT_TRUE(parsed.requests.empty()) << refused.what;
    EXPECT_EQ(parsed.state, ParserState::kFailed) << refused.what;
    EXPECT_EQ(parsed.status, refused.status) << refused.what;
  }
}

TEST_P(HttpParserTest, WhatOnlyLooksLikeIt) {
  for (const AcceptedRequest& accepted : AcceptedRequests()) {
    const Parsed parsed = ParseWith({}, accepted.bytes + accepted.bytes);
    ASSERT_EQ(parsed.requests.size(), 2u) << accepted.what;
    for (const Request& request : parsed.requests) {
      EXPECT_EQ(request.method, accepted.method) << accepted.what;
      EXPECT_EQ(request.target, accepted.target) << accepted.what;
      EXPECT_EQ(request.body, accepted.body) << accepted.what;
    }
    EXPECT_EQ(parsed.state, ParserState::kIdle) << accepted.what;
  }
}

TEST_P(HttpParserTest, ValuesAreWithoutTheWhiteSpaceAroundThem) {
  const Parsed parsed = Parse("GET / HTTP/1.1\r\nHost:\t a \t\r\nX: a \t b \r\n\r\n");
  ASSERT_EQ(parsed.requests.size(), 1u);
  EXPECT_EQ(*parsed.requests[0].headers.Find("Host"), "a");
  EXPECT_EQ(*parsed.requests[0].headers.Find("X"), "a \t b");
}

TEST_P(HttpParserTest, NothingFollowsAConnect) {
  const Parsed parsed = Parse("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(parsed.requests.size(), 1u);
  EXPECT_FALSE(parsed.requests[0].keep_alive);
}

TEST_P(HttpParserTest, WhoWaitsForContinue) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", true},
      {"HTTP/1.1\r\nHost: a\r\nexpect: 100-Continue \r\nContent-Length: 1\r\n\r\n", true},
      {"HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", false},  // it did not wait
      {"HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", false},
      {"HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},  // it does not know of it
  };
  for (const auto& [rest, expects] : cases) {
    RequestParser parser(kLimits);
    const std::string request = "POST / " + rest;
    for (size_t at = 0; at < request.size();) at += parser.Feed(std::string_view(request).substr(at, GetParam()));
    EXPECT_EQ(parser.ExpectsContinue(), expects) << request;
  }
}

// A request of exactly `bytes` bytes without a body.
std::string RequestOf(size_t bytes) {
  const std::string_view begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string_view end = "\r\n\r\n";
  return absl::StrCat(std::string(begin), std::string(bytes - begin.size() - end.size(), 'x'), std::string(end));
}

TEST_P(HttpParserTest, AHeadOfTheLimitPassesAndOneByteMoreIs431) {
  EXPECT_EQ(Parse(RequestOf(kLimits.max_head_bytes)).requests.size(), 1u);
  const Parsed parsed = Parse(RequestOf(kLimits.max_head_bytes + 1));
  EXPECT_TRUE(parsed.requests.empty());
  EXPECT_EQ(parsed.status, 431);
}

TEST_P(HttpParserTest, AHeadThatNeverEndsIs431) {
  std::string empty_lines;
  while (empty_lines.size() < 1000) empty_lines += "\r\n";
  for (const std::string& request : {"GET /" + std::string(1000, 'x'), empty_lines}) {
    EXPECT_EQ(Parse(request).status, 431);
  }
}

TEST_P(HttpParserTest, TheLimitOfHeadsIsForEachRequest) {
  EXPECT_EQ(Parse(RequestOf(100) + RequestOf(100) + RequestOf(100)).requests.size(), 3u);
}

TEST_P(HttpParserTest, ABodyOfTheLimitPassesAndOneByteMoreIs413) {
  const auto request = [](size_t bytes) {
    return absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", bytes, "\r\n\r\n", std::string(bytes, 'x'));
  };
  EXPECT_EQ(Parse(request(kLimits.max_body_bytes)).requests.size(), 1u);
  EXPECT_EQ(Parse(request(kLimits.max_body_bytes + 1)).status, 413);
}

TEST_P(HttpParserTest, ABodyThatIsAnnouncedTooLargeIs413BeforeItComes) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n").status, 413);
}

TEST_P(HttpParserTest, ChunksThatAddUpToTooMuchAre413) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n")
                .status,
            413);
}

TEST_P(HttpParserTest, TrailersAndExtensionsOfTheLimitPassAndOneByteMoreIs431) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto trailer = [&](size_t bytes) { return head + "0\r\nX: " + std::string(bytes - 7, 'x') + "\r\n\r\n"; };
  // Of several chunks: each by itself is short.
  const auto extensions = [&](size_t bytes) {
    std::string all = head;
    for (size_t i = 0; i < bytes; ++i) all += "1;x\r\na\r\n";
    return all + "0\r\n\r\n";
  };
  const Limits limits = {.max_head_bytes = 128, .max_body_bytes = 1024};
  EXPECT_EQ(ParseWith(limits, trailer(128)).requests.size(), 1u);
  EXPECT_EQ(ParseWith(limits, trailer(129)).status, 431);
  EXPECT_EQ(ParseWith(limits, extensions(128)).requests.size(), 1u);
  EXPECT_EQ(ParseWith(limits, extensions(129)).status, 431);
}

TEST(HttpResponseBodyTest, ABodyByItsLength) {
  ResponseParser parser(kLimits);
  const std::string_view bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200";
  EXPECT_EQ(parser.Feed(bytes), bytes.size() - 12);
  ASSERT_EQ(parser.state(), ParserState::kComplete);
  const Response response = parser.Take();
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "no");
  EXPECT_TRUE(response.keep_alive);
}

TEST(HttpResponseBodyTest, ABodyThatEndsWithTheConnection) {
  ResponseParser parser(kLimits);
  parser.Feed("HTTP/1.1 200 OK\r\n\r\nall of it");
  EXPECT_EQ(parser.state(), ParserState::kBody);
  parser.FeedEnd();
  ASSERT_EQ(parser.state(), ParserState::kComplete);
  const Response response = parser.Take();
  EXPECT_EQ(response.body, "all of it");
  EXPECT_FALSE(response.keep_alive);
}

class HttpResponseParserTest : public testing::TestWithParam<size_t> {};

INSTANTIATE_TEST_SUITE_P(BytesAtOnce, HttpResponseParserTest, testing::Values(1, 2, 7, 1'000'000),
                         testing::PrintToStringParamName());

// Until the parser has `responses` of them, or has failed.
std::vector<Response> ParseResponses(ResponseParser& parser, std::string_view bytes, size_t at_once) {
  std::vector<Response> responses;
  while (!bytes.empty() && parser.state() != ParserState::kFailed) {
    bytes.remove_prefix(parser.Feed(bytes.substr(0, at_once)));
    if (parser.state() == ParserState::kComplete) responses.push_back(parser.Take());
  }
  return responses;
}

TEST_P(HttpResponseParserTest, WhatIsRefused) {
  for (const BadResponse& bad : BadResponses()) {
    ResponseParser parser;
    const std::vector<Response> responses = ParseResponses(parser, bad.bytes, GetParam());
    parser.FeedEnd();
    if (bad.bytes.empty()) {
      EXPECT_EQ(parser.state(), ParserState::kIdle) << bad.what;
    } else if (!responses.empty()) {
      EXPECT_EQ(responses[0].status, 101) << bad.what;  // that nobody asked for it is not the parser's to know
    } else {
      EXPECT_EQ(parser.state(), ParserState::kFailed) << bad.what;
    }
  }
}

TEST_P(HttpResponseParserTest, WhatHasNoBody) {
  for (const GoodResponse& good : GoodResponses()) {
    ResponseParser parser;
    parser.AnswersHead(good.to_head);
    const std::vector<Response> responses = ParseResponses(parser, good.bytes + good.bytes, GetParam());
    ASSERT_GE(responses.size(), 2u) << good.what;
    for (size_t i : {responses.size() / 2 - 1, responses.size() - 1}) {
      EXPECT_EQ(responses[i].status, good.status) << good.what;
      EXPECT_EQ(responses[i].body, good.body) << good.what;
      EXPECT_TRUE(responses[i].keep_alive) << good.what;
    }
    EXPECT_EQ(parser.state(), ParserState::kIdle) << good.what;
  }
}

TEST(HttpParserMoveTest, AParserIsMovedWithinAMessage) {
  RequestParser parser(kLimits);
  parser.Feed("POST /7 HTTP/1.1\r\nHost: a\r\nContent-Le");
  RequestParser moved(std::move(parser));
  moved.Feed("ngth: 2\r\n\r\nok");
  ASSERT_EQ(moved.state(), ParserState::kComplete);
  EXPECT_EQ(moved.Take().body, "ok");
}

TEST(HttpMessageTest, PartsOfATarget) {
  EXPECT_EQ(PathOf("/work?ms=700"), "/work");
  EXPECT_EQ(PathOf("/work"), "/work");
  EXPECT_EQ(QueryValue("/work?ms=700&x&y=", "ms"), "700");
  EXPECT_EQ(QueryValue("/work?ms=700&x&y=", "x"), "");
  EXPECT_EQ(QueryValue("/work?ms=700&x&y=", "y"), "");
  EXPECT_EQ(QueryValue("/work?ms=700", "m"), std::nullopt);
  EXPECT_EQ(QueryValue("/work", "ms"), std::nullopt);
}

// Whatever comes from strangers.
TEST(HttpMessageTest, AFieldIsOneField) {
  Response response;
  response.headers.Add(std::string("X\r\nA\0", 5), std::string("1\r\nSet-Cookie: a\n\nb\0c", 21));
  const std::string sent = Serialize(response);
  EXPECT_TRUE(sent.starts_with("HTTP/1.1 200 OK\r\nX  A : 1  Set-Cookie: a  b c\r\nContent-Length: 0\r\n")) << sent;
}

TEST(HttpMessageTest, WhatIsTakenForMoreThanOneRequestIsNone) {
  EXPECT_TRUE(IsOneRequest({}));
  EXPECT_TRUE(IsOneRequest({.method = "M-SEARCH", .target = "/a%20b?c=\xc3\xa4"}));
  for (const std::string& method : {std::string(), std::string("G T"), std::string("G\r\n"), std::string("G:T")}) {
    EXPECT_FALSE(IsOneRequest({.method = method})) << method;
  }
  for (const std::string& target : {std::string(), std::string("/ HTTP/1.1\r\nX: y"), std::string("/a b"),
                                    std::string("/\n"), std::string("/\t"), std::string("/\0", 2)}) {
    EXPECT_FALSE(IsOneRequest({.target = target})) << target;
  }
}

TEST(HttpMessageTest, AStatusThatHasNoBodyIsSentWithout) {
  for (int status : {100, 199, 204, 304}) {
    EXPECT_TRUE(HasNoBody(status)) << status;
    const std::string bytes = Serialize(Response{.status = status, .body = "body"});
    EXPECT_EQ(bytes, absl::StrCat("HTTP/1.1 ", status, " ", std::string(ReasonPhrase(status)), "\r\n\r\n"));
  }
  for (int status : {200, 203, 205, 303, 305, 404}) {
    EXPECT_FALSE(HasNoBody(status)) << status;
    const Response response{.status = status, .body = "body"};
    EXPECT_TRUE(Serialize(response).ends_with("\r\nContent-Length: 4\r\n\r\nbody")) << status;
    EXPECT_TRUE(Serialize(response, /*head_only=*/true).ends_with("\r\nContent-Length: 4\r\n\r\n")) << status;
  }
}

// Two lengths, or two hosts, would be two ways to read one message.
TEST(HttpMessageTest, WhatSerializeWritesIsWrittenOnce) {
  Request request{.method = "POST", .target = "/x", .body = "12345"};
  for (const auto& [name, value] : {std::pair("X-Id", "7"), std::pair("transfer-encoding", "chunked"),
                                    std::pair("content-length", "3"), std::pair("host", "other"),
                                    std::pair("Host", "third")}) {
    request.headers.Add(name, value);
  }
  EXPECT_EQ(Serialize(request, "localhost"),
            "POST /x HTTP/1.1\r\nHost: other\r\nX-Id: 7\r\nContent-Length: 5\r\n\r\n12345");
  Response response{.body = "12345"};
  response.headers.Add("Transfer-Encoding", "chunked");
  response.headers.Add("Content-Length", "3");
  EXPECT_EQ(Serialize(response), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345");
}

TEST(HttpMessageTest, WhatIsSerializedIsParsedAgain) {
  Request request{.method = "POST", .target = "/x", .body = "12345"};
  request.headers.Add("X-Id", "7");
  request.keep_alive = false;
  RequestParser parser;
  const std::string bytes = Serialize(request, "localhost");
  EXPECT_EQ(parser.Feed(bytes), bytes.size());
  ASSERT_EQ(parser.state(), ParserState::kComplete);
  const Request again = parser.Take();
  EXPECT_EQ(again.method, "POST");
  EXPECT_EQ(again.body, "12345");
  EXPECT_EQ(*again.headers.Find("Host"), "localhost");
  EXPECT_EQ(*again.headers.Find("X-Id"), "7");
  EXPECT_FALSE(again.keep_alive);
}

}  // namespace
}  // namespace http
