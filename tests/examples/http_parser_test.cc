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

namespace http {
namespace {

constexpr Limits kLimits = {.max_head_bytes = 128, .max_body_bytes = 16};

// What came of some bytes: the messages, and the state after them.
struct Parsed {
  std::vector<Request> requests;
  ParserState state = ParserState::kIdle;
  int status = 0;  // of the failure
};

Parsed Parse(std::string_view bytes, size_t at_once) {
  RequestParser parser(kLimits);
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
  static Parsed Parse(std::string_view bytes) { return http::Parse(bytes, GetParam()); }
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
       {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"}) {
    const Parsed parsed = Parse(request);
    ASSERT_EQ(parsed.requests.size(), 1u) << request;
    EXPECT_EQ(parsed.requests[0].body, "hello");
    EXPECT_EQ(parsed.requests[0].headers.Find("Trailer"), nullptr);
    EXPECT_EQ(parsed.state, ParserState::kIdle);
  }
}

TEST_P(HttpParserTest, RequestsInARowAreParsedOneByOne) {
  const Parsed parsed =
      Parse("GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\nGET /3 HTTP/1.1\r\n\r\nGET /4");
  ASSERT_EQ(parsed.requests.size(), 3u);
  EXPECT_EQ(parsed.requests[0].target, "/1");
  EXPECT_EQ(parsed.requests[1].target, "/2");
  EXPECT_EQ(parsed.requests[1].body, "x");
  EXPECT_EQ(parsed.requests[2].target, "/3");
  EXPECT_EQ(parsed.state, ParserState::kHead);
}

TEST_P(HttpParserTest, WhetherTheConnectionLives) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"GET / HTTP/1.1\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
  };
  for (const auto& [request, keep_alive] : cases) {
    const Parsed parsed = Parse(request);
    ASSERT_EQ(parsed.requests.size(), 1u) << request;
    EXPECT_EQ(parsed.requests[0].keep_alive, keep_alive) << request;
  }
}

TEST_P(HttpParserTest, WhatIsNotHttpIs400) {
  for (const char* request : {"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                              "NONSENSE / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                              "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"}) {
    const Parsed parsed = Parse(request);
    EXPECT_TRUE(parsed.requests.empty()) << request;
    EXPECT_EQ(parsed.state, ParserState::kFailed) << request;
    EXPECT_EQ(parsed.status, 400) << request;
  }
}

// A request of exactly `bytes` bytes without a body.
std::string RequestOf(size_t bytes) {
  const std::string_view begin = "GET / HTTP/1.1\r\nX: ";
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
  for (const std::string& request : {"GET /" + std::string(1000, 'x'), std::string(1000, '\n')}) {
    EXPECT_EQ(Parse(request).status, 431);
  }
}

TEST_P(HttpParserTest, TheLimitOfHeadsIsForEachRequest) {
  EXPECT_EQ(Parse(RequestOf(100) + RequestOf(100) + RequestOf(100)).requests.size(), 3u);
}

TEST_P(HttpParserTest, ABodyOfTheLimitPassesAndOneByteMoreIs413) {
  const auto request = [](size_t bytes) {
    return absl::StrCat("POST / HTTP/1.1\r\nContent-Length: ", bytes, "\r\n\r\n", std::string(bytes, 'x'));
  };
  EXPECT_EQ(Parse(request(kLimits.max_body_bytes)).requests.size(), 1u);
  EXPECT_EQ(Parse(request(kLimits.max_body_bytes + 1)).status, 413);
}

TEST_P(HttpParserTest, ABodyThatIsAnnouncedTooLargeIs413BeforeItComes) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n").status, 413);
}

TEST_P(HttpParserTest, ChunksThatAddUpToTooMuchAre413) {
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n")
                .status,
            413);
}

TEST_P(HttpParserTest, AnotherVersionIs505) {
  const int status = Parse("GET / HTTP/2.0\r\n\r\n").status;
  EXPECT_EQ(status, 505);
}

TEST(HttpResponseParserTest, ABodyByItsLength) {
  ResponseParser parser(kLimits);
  const std::string_view bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200";
  EXPECT_EQ(parser.Feed(bytes), bytes.size() - 12);
  ASSERT_EQ(parser.state(), ParserState::kComplete);
  const Response response = parser.Take();
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "no");
  EXPECT_TRUE(response.keep_alive);
}

TEST(HttpResponseParserTest, ABodyThatEndsWithTheConnection) {
  ResponseParser parser(kLimits);
  parser.Feed("HTTP/1.1 200 OK\r\n\r\nall of it");
  EXPECT_EQ(parser.state(), ParserState::kBody);
  parser.FeedEnd();
  ASSERT_EQ(parser.state(), ParserState::kComplete);
  const Response response = parser.Take();
  EXPECT_EQ(response.body, "all of it");
  EXPECT_FALSE(response.keep_alive);
}

TEST(HttpResponseParserTest, AResponseThatIsCutOffFails) {
  for (const char* bytes : {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200"}) {
    ResponseParser parser(kLimits);
    parser.Feed(bytes);
    parser.FeedEnd();
    EXPECT_EQ(parser.state(), ParserState::kFailed) << bytes;
  }
}

TEST(HttpParserMoveTest, AParserIsMovedWithinAMessage) {
  RequestParser parser(kLimits);
  parser.Feed("POST /7 HTTP/1.1\r\nContent-Le");
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
