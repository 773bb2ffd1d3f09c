// A server of the files below a directory, over HTTP/1.1, for curl, browsers, and load generators.
//
//   ./bazelw run //examples:static_files -- --root=/usr/share/doc
//
// Files are sent piece by piece, so a connection costs 64 KiB whatever it fetches. It knows GET and HEAD, ranges of
// bytes (RFC 9110, 14), and entity tags (8.8.3). SIGTERM or SIGINT ends it: downloads that have begun are finished, but
// a second signal ends these, too. Links are followed: whoever may make links below the root decides what is served.
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "examples/http/message.h"
#include "examples/http/server.h"
#include "examples/most_connections.h"
#include "weft/errno.h"
#include "weft/fs/file.h"
#include "weft/fs/file_info.h"
#include "weft/io/buffer.h"
#include "weft/signal.h"
#include "weft/weft.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:8080", "address to listen on; port 0 lets the kernel choose");
ABSL_FLAG(std::string, root, ".", "the directory whose files are served");

namespace {

namespace fs = weft::fs;

http::Response Plain(int status) {
  const std::string reason(http::ReasonPhrase(status));
  http::Response response{.status = status, .body = absl::StrCat(status, " ", reason, "\n")};
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  return response;
}

const char* TypeOf(absl::string_view path) {
  constexpr std::pair<absl::string_view, const char*> kTypes[] = {
      {".css", "text/css"},
      {".gif", "image/gif"},
      {".html", "text/html; charset=utf-8"},
      {".jpg", "image/jpeg"},
      {".js", "text/javascript"},
      {".json", "application/json"},
      {".pdf", "application/pdf"},
      {".png", "image/png"},
      {".svg", "image/svg+xml"},
      {".txt", "text/plain; charset=utf-8"},
      {".wasm", "application/wasm"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWithIgnoreCase(path, ending)) return type;
  }
  return "application/octet-stream";
}

// "/a b" of "/a%20b". Nothing for a path that is no path below the root: with "..", or with a zero byte.
std::optional<std::string> PathBelowRoot(std::string_view target) {
  const std::string escaped(http::PathOf(target));
  if (!absl::StartsWith(escaped, "/")) return std::nullopt;
  std::string path;
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] != '%') {
      path += escaped[i];
      continue;
    }
    const std::string digits = escaped.substr(i + 1, 2);
    uint32_t byte = 0;
    if (digits.size() != 2 || !absl::c_all_of(digits, absl::ascii_isxdigit)) return std::nullopt;
    if (!absl::SimpleHexAtoi(digits, &byte)) return std::nullopt;
    path += static_cast<char>(byte);
    i += 2;
  }
  if (path.find('\0') != std::string::npos) return std::nullopt;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return std::nullopt;
  }
  return path;
}

struct Range {
  uint64_t first = 0;
  uint64_t size = 0;
};

// The range that is asked for of a file of `size` bytes; of no bytes, if there is nothing there. Nothing for a header
// that is to be ignored: malformed, in another unit, or of several ranges.
std::optional<Range> RangeOf(absl::string_view header, uint64_t size) {
  if (!absl::ConsumePrefix(&header, "bytes=")) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(header, absl::MaxSplits('-', 1));
  uint64_t first = 0;
  uint64_t last = 0;
  if (ends.first.empty()) {  // the last bytes
    if (!absl::SimpleAtoi(ends.second, &last)) return std::nullopt;
    const uint64_t count = std::min(last, size);
    return Range{size - count, count};
  }
  if (!absl::SimpleAtoi(ends.first, &first)) return std::nullopt;
  if (ends.second.empty()) {
    last = UINT64_MAX;
  } else if (!absl::SimpleAtoi(ends.second, &last) || last < first) {
    return std::nullopt;
  }
  if (first >= size) return Range{};
  return Range{first, std::min(last, size - 1) - first + 1};
}

http::BodySource PartOf(std::shared_ptr<fs::File> file, Range range) {
  return {.size = range.size, .read_at = [file = std::move(file), range](weft::MutableBuffer piece, uint64_t offset) {
            return file->ReadAt(piece, range.first + offset);
          }};
}

// The answer to a request for a file that is open.
http::Response Answer(const http::Request& request, const std::string& path, const fs::FileInfo& info,
                      std::shared_ptr<fs::File> file) {
  http::Response response;
  const std::string tag = absl::StrFormat("\"%x-%x\"", absl::ToUnixNanos(info.modified), info.size);
  response.headers.Add("ETag", tag);
  response.headers.Add("Accept-Ranges", "bytes");
  response.headers.Add("Content-Type", TypeOf(path));
  if (const std::string* known = request.headers.Find("If-None-Match"); known != nullptr && *known == tag) {
    response.status = 304;
    return response;
  }
  std::optional<Range> range;
  const std::string* const wanted = request.headers.Find("Range");
  if (wanted != nullptr && request.method == "GET") {  // RFC 9110, 14.2
    const std::string* only_if = request.headers.Find("If-Range");
    if (only_if == nullptr || *only_if == tag) range = RangeOf(*wanted, info.size);
  }
  if (range.has_value() && range->size == 0) {
    http::Response refused = Plain(416);
    refused.headers.Add("Content-Range", absl::StrCat("bytes */", info.size));
    return refused;
  }
  if (range.has_value()) {
    response.status = 206;
    response.headers.Add("Content-Range", absl::StrCat("bytes ", range->first, "-", range->first + range->size - 1, "/",
                                                       info.size));
  }
  response.source = PartOf(std::move(file), range.value_or(Range{0, info.size}));
  return response;
}

int StatusFor(const absl::Status& failure) {
  switch (weft::ErrnoOf(failure)) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return 404;
    case EACCES:
      return 403;
    case EMFILE:
    case ENFILE:
      return 503;
    default:
      return 500;
  }
}

weft::Task<http::Response> Serve(const std::string& root, const http::Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    http::Response refused = Plain(405);
    refused.headers.Add("Allow", "GET, HEAD");
    co_return refused;
  }
  std::optional<std::string> below = PathBelowRoot(request.target);
  if (!below.has_value()) co_return Plain(400);
  if (absl::EndsWith(*below, "/")) *below += "index.html";
  const std::string path = root + *below;
  absl::StatusOr<fs::File> file = co_await fs::File::Open(path);
  if (!file.ok()) co_return Plain(StatusFor(file.status()));
  const absl::StatusOr<fs::FileInfo> info = co_await file->Stat();
  if (!info.ok()) co_return Plain(StatusFor(info.status()));
  if (info->type != fs::FileType::kRegular) co_return Plain(404);
  co_return Answer(request, path, *info, std::make_shared<fs::File>(*std::move(file)));
}

weft::Task<absl::Status> Main() {
  absl::StatusOr<weft::Signals> signals = weft::Signals::Open({SIGTERM, SIGINT});
  if (!signals.ok()) co_return signals.status();
  absl::StatusOr<weft::net::TcpListener> listener = weft::net::TcpListener::Bind(absl::GetFlag(FLAGS_listen));
  if (!listener.ok()) co_return listener.status();
  std::printf("listening on %s\n", listener->local_address()->ToString().c_str());
  std::fflush(stdout);

  const std::string root = absl::GetFlag(FLAGS_root);
  // Each takes a descriptor for its file as well.
  http::Server server({.max_connections = (MostConnections() + 1) / 2},
                      [&root](const http::Request& request) { return Serve(root, request); });
  weft::Event stop;
  weft::ShutdownOnFailure scope("static files");
  scope.Fork([&]() -> weft::Task<absl::Status> {
    absl::Status ended = co_await server.Serve(*listener, stop);
    scope.Shutdown();  // nobody waits for signals any more
    co_return ended;
  });
  scope.Fork([&]() -> weft::Task<void> {
    co_await signals->Next();
    stop.Set();
    co_await signals->Next();
    server.EndDrain();
  });
  co_return co_await scope.Join();
}

}  // namespace

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return weft::RunMain(Main());
}
