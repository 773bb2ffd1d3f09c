// What is refused, and what only looks like it: for the parsers, and for the server and the client over sockets.
#ifndef WEFT_TESTS_EXAMPLES_HTTP_MESSAGES_H_
#define WEFT_TESTS_EXAMPLES_HTTP_MESSAGES_H_

#include <string>
#include <string_view>
#include <vector>

namespace http {

struct RefusedRequest {
  std::string what;
  std::string bytes;
  int status = 400;
};

inline std::vector<RefusedRequest> RefusedRequests() {
  const auto get = [](std::string_view lines) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
  };
  const auto post = [](std::string_view rest) { return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(rest); };
  const auto chunks = [&](std::string_view body) {
    return post("Transfer-Encoding: chunked\r\n\r\n" + std::string(body));
  };
  const std::string zero(1, '\0');
  return {
      // The request line.
      {"TLS", "\x16\x03\x01\x02\x01", 400},
      {"a method alone", "GET\r\n\r\n"},
      {"no such method", "NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"white space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a target that is none", "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a zero byte in the target", "GET /" + zero + " HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a byte that is not ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"another protocol", "GET / HTCPCP/1.0\r\nHost: a\r\n\r\n"},
      {"words after the version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"},
      {"a version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
      {"HTTP/0.9", "GET /\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {"a version that is no number", "GET / HTTP/x.1\r\nHost: a\r\n\r\n"},
      // Ends of lines.
      {"a lone LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a request line that ends in a lone LF", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"a header that ends in a lone LF", get("X: a\n")},
      {"a head that ends in a lone LF", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"a body behind lone LFs", "POST / HTTP/1.1\nHost: a\nContent-Length: 1\n\nx"},
      // Lines of headers.
      {"a line without a colon", get("no colon\r\n")},
      {"a line without a name", get(": x\r\n")},
      {"white space before the colon", get("X : x\r\n")},
      {"a name that is no token", get("X(y): x\r\n")},
      {"a name that is not ASCII", get("\xc3\xa4: x\r\n")},
      {"a zero byte in a value", get("X: a" + zero + "b\r\n")},
      {"a lone CR in a value", get("X: a\rb\r\n")},
      {"a line folded with a space", get("X: a\r\n b\r\n")},
      {"a line folded with a tab", get("X: a\r\n\tb\r\n")},
      {"a line folded before its value", get("X:\r\n a\r\n")},
      {"a folded Host", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n"},
      {"a folded length", post("Content-Length:\r\n 5\r\n\r\nhello")},
      {"white space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"a line of white space", get(" \r\n")},
      // Host.
      {"no Host", "GET / HTTP/1.1\r\n\r\n"},
      {"two Hosts", get("Host: b\r\n")},
      {"the same Host twice", get("host: a\r\n")},
      {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"two Hosts in one", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
      {"a path for a Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {"a user in a Host", "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n"},
      // Lengths.
      {"a length that is none", post("Content-Length: x\r\n\r\n")},
      {"an empty length", post("Content-Length: \r\n\r\n")},
      {"a signed length", post("Content-Length: +5\r\n\r\nhello")},
      {"a negative length", post("Content-Length: -5\r\n\r\nhello")},
      {"a length in hexadecimal", post("Content-Length: 0x5\r\n\r\nhello")},
      {"a length with a fraction", post("Content-Length: 5.0\r\n\r\nhello")},
      {"a list of lengths", post("Content-Length: 5, 5\r\n\r\nhello")},
      {"a length beyond 64 bits", post("Content-Length: 18446744073709551616\r\n\r\n")},
      {"two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")},
      {"the same length twice", post("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx")},
      {"a length beside chunks", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"chunks beside a length", post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n")},
      // Codings.
      {"a coding after chunked", post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")},
      {"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")},
      {"a coding that is only like chunked", post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501},
      {"a coding beside chunked", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
      {"a coding in a line of its own", post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
       501},
      {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      // Chunks.
      {"a chunk without a size", chunks("\r\nx\r\n0\r\n\r\n")},
      {"a size that is none", chunks("z\r\n")},
      {"a signed size", chunks("+1\r\nx\r\n0\r\n\r\n")},
      {"a size with a prefix", chunks("0x1\r\nx\r\n0\r\n\r\n")},
      {"a size beyond 64 bits", chunks("10000000000000001\r\nx\r\n0\r\n\r\n")},
      {"white space after a size", chunks("1 \r\nx\r\n0\r\n\r\n")},
      {"a size that ends in a lone LF", chunks("1\nx\r\n0\r\n\r\n")},
      {"a size that ends in a lone CR", chunks("1\rxx\r\n0\r\n\r\n")},
      {"a chunk longer than its size", chunks("1\r\nxx\r\n0\r\n\r\n")},
      {"a chunk that ends in other bytes", chunks("1\r\nxAB0\r\n\r\n")},
      {"a chunk that ends in a lone LF", chunks("1\r\nx\n0\r\n\r\n")},
      {"a chunk that ends in LF and CR", chunks("1\r\nx\n\r0\r\n\r\n")},
      {"a chunk that ends in CR and another byte", chunks("1\r\nx\rA0\r\n\r\n")},
      {"a lone LF in an extension", chunks("1;x=\ny\r\nx\r\n0\r\n\r\n")},
      {"a trailer without a colon", chunks("0\r\nno colon\r\n\r\n")},
      {"a trailer without a name", chunks("0\r\n: x\r\n\r\n")},
      {"a folded trailer", chunks("0\r\nX: a\r\n b\r\n\r\n")},
      {"white space before the first trailer", chunks("0\r\n X: a\r\n\r\n")},
      {"a trailer that ends in CR and another byte", chunks("0\r\n\rA")},
      {"a trailer that ends in a lone LF", chunks("0\r\nX: a\n\r\n")},
      {"trailers that end in a lone LF", chunks("0\r\n\n")},
  };
}

struct AcceptedRequest {
  std::string what;
  std::string bytes;
  std::string method;
  std::string target;
  std::string body;
};

// Each is one whole request.
inline std::vector<AcceptedRequest> AcceptedRequests() {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  return {
      {"empty lines before it", "\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/x", ""},
      {"HTTP/1.0 without a Host", "GET /x HTTP/1.0\r\n\r\n", "GET", "/x", ""},
      {"an empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/x", ""},
      {"a Host with a port", "GET /x HTTP/1.1\r\nHost: a.b:80\r\n\r\n", "GET", "/x", ""},
      {"a Host of IPv6", "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET", "/x", ""},
      {"a whole URL", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "http://a/x", ""},
      {"an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", ""},
      {"a value that ends in white space", "GET /x HTTP/1.1\r\nHost: a \t\r\nX: b \r\n\r\n", "GET", "/x", ""},
      {"a value with white space inside", "GET /x HTTP/1.1\r\nHost: a\r\nX: a \t b\r\n\r\n", "GET", "/x", ""},
      {"a value that is not ASCII", "GET /x HTTP/1.1\r\nHost: a\r\nX: \xc3\xa4\xff\r\n\r\n", "GET", "/x", ""},
      {"a body by its length", post + "Content-Length: 5\r\n\r\n\n \n\tx", "POST", "/", "\n \n\tx"},
      {"a length of nothing", post + "Content-Length: 0\r\n\r\n", "POST", "/", ""},
      {"chunks", post + "Transfer-Encoding: chunked\r\n\r\n3\r\n\n a\r\n2\r\nlo\r\n0\r\n\r\n", "POST", "/", "\n alo"},
      {"chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", "POST", "/", "x"},
      {"a size with zeros before it", post + "Transfer-Encoding: chunked\r\n\r\n0001\r\nx\r\n000\r\n\r\n", "POST", "/",
       "x"},
      {"chunks with extensions", post + "Transfer-Encoding: chunked\r\n\r\n1;a;c=\"d\"\r\nx\r\n0;e\r\n\r\n", "POST",
       "/", "x"},
      {"trailers", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nHost: b\r\nX: y\r\n\r\n", "POST", "/", "x"},
  };
}

struct BadResponse {
  std::string what;
  std::string bytes;  // after which the server hangs up
};

inline std::vector<BadResponse> BadResponses() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {"nothing", ""},
      {"no HTTP", "hello\r\n\r\n"},
      {"another version", "HTTP/2.0 200 OK\r\n\r\n"},
      {"a version that nobody knows", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"no status", "HTTP/1.1 OK\r\n\r\n"},
      {"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
      {"a head that is cut off", ok + "Content-Len"},
      {"a body that is cut off", ok + "Content-Length: 5\r\n\r\nhel"},
      {"chunks that are cut off", chunked + "5\r\nhello\r\n"},
      {"lines that end in a lone LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
      {"a folded line", ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
      {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"},
      {"a length beside chunks", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a coding beside chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"a coding that is not chunked", ok + "Transfer-Encoding: gzip\r\n\r\nxxx"},
      {"a chunk that ends in other bytes", chunked + "1\r\nxAB0\r\n\r\n"},
      {"a folded trailer", chunked + "0\r\nX: a\r\n b\r\n\r\n"},
      {"another protocol that nobody asked for",
       "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"},
  };
}

struct GoodResponse {
  std::string what;
  bool to_head;  // the request was a HEAD
  std::string bytes;
  int status;
  std::string body;
};

// Each is one whole response, after which the connection lives.
inline std::vector<GoodResponse> GoodResponses() {
  return {
      {"a body", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
      {"chunks", false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", 200, "ok"},
      {"204", false, "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
      {"204 with a length", false, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, ""},
      {"304", false, "HTTP/1.1 304 Not Modified\r\n\r\n", 304, ""},
      {"304 with the length of what has not changed", false,
       "HTTP/1.1 304 Not Modified\r\nContent-Length: 999999999\r\n\r\n", 304, ""},
      {"304 with a coding", false, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, ""},
      {"the answer to a HEAD", true, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", 200, ""},
      {"the answer to a HEAD with a coding", true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, ""},
      {"the answer to a HEAD without a length", true, "HTTP/1.1 200 OK\r\n\r\n", 200, ""},
      {"two that are informational before it", false,
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
       200, "ok"},
  };
}

}  // namespace http

#endif  // WEFT_TESTS_EXAMPLES_HTTP_MESSAGES_H_
