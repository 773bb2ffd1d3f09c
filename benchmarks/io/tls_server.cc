// Serves the files of a directory over TLS, by HTTP/1.1, as nginx does with a minimal configuration: requests are
// parsed (llhttp), files are opened for each request and read from the kernel's cache, connections are kept if the
// client asks for that. Sessions are not resumed: every connection is a full handshake. It serves until it is killed.
//
//   tls_server CERTIFICATE KEY ROOT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "benchmarks/io/listen.h"
#include "examples/http/message.h"
#include "examples/http/parser.h"
#include "weft/fs/file.h"
#include "weft/tls/context.h"
#include "weft/tls/stream.h"
#include "weft/weft.h"

namespace weft::benchmarks {
namespace {

constexpr size_t kRequestBytes = 1024;
constexpr size_t kPieceBytes = 64 * 1024;

struct Site {
  tls::Context context;
  std::string root;
};

Task<absl::Status> SendFile(tls::Stream& stream, std::string path, bool keep_alive) {
  absl::StatusOr<fs::File> file = co_await fs::File::Open(path);
  if (!file.ok()) co_return file.status();
  const absl::StatusOr<uint64_t> size = co_await file->Size();
  if (!size.ok()) co_return size.status();
  http::Response response{.source = http::BodySource{.size = *size, .read_at = nullptr}, .keep_alive = keep_alive};
  response.headers.Add("Content-Type", "application/octet-stream");
  const std::string head = http::Serialize(response);
  const size_t piece_bytes = std::min<uint64_t>(*size, kPieceBytes);
  const io::AlignedBytes piece = io::AllocateAligned(piece_bytes);
  for (uint64_t at = 0; at < *size;) {
    const absl::StatusOr<size_t> got = co_await file->ReadAt({piece.get(), piece_bytes}, at);
    if (!got.ok()) co_return got.status();
    if (*got == 0) co_return absl::DataLossError("the file has become shorter");
    // The head goes with the first piece.
    const ConstBuffer parts[] = {at == 0 ? std::string_view(head) : std::string_view(),
                                 std::string_view(piece.get(), *got)};
    if (absl::Status sent = co_await stream.Write(parts); !sent.ok()) co_return sent;
    at += *got;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ServeRequests(const Site& site, tls::Stream& stream) {
  http::RequestParser parser{http::Limits{}};
  char bytes[kRequestBytes];
  for (;;) {
    const absl::StatusOr<size_t> got = co_await stream.Read(absl::MakeSpan(bytes));
    if (!got.ok() || *got == 0) co_return got.status();
    for (std::string_view rest(bytes, *got); !rest.empty();) {
      rest.remove_prefix(parser.Feed(rest));
      if (parser.state() == http::ParserState::kFailed) co_return absl::InvalidArgumentError("not a request");
      if (parser.state() != http::ParserState::kComplete) continue;
      const http::Request request = parser.Take();
      absl::Status sent = co_await SendFile(stream, absl::StrCat(site.root, request.target), request.keep_alive);
      if (!sent.ok() || !request.keep_alive) co_return sent;
    }
  }
}

Task<void> ServeConnection(const Site& site, net::TcpStream accepted) {
  absl::StatusOr<tls::Stream> stream = co_await tls::Server(std::move(accepted), site.context);
  if (!stream.ok()) co_return;
  if ((co_await ServeRequests(site, *stream)).ok()) (co_await stream->ShutdownWrite()).IgnoreError();
}

Task<absl::Status> Serve(const char* certificate, const char* key, const char* root) {
  absl::StatusOr<tls::Context> context = tls::Context::Server(
      {.certificate = tls::Pem::File(certificate), .key = tls::Pem::File(key), .resume_sessions = false});
  if (!context.ok()) co_return context.status();
  const Site site{*std::move(context), root};
  absl::StatusOr<net::TcpListener> listener = ListenAndSay();
  if (!listener.ok()) co_return listener.status();
  AwaitAll connections;
  for (;;) {
    absl::StatusOr<net::TcpStream> stream = co_await listener->Accept();
    if (!stream.ok()) co_return stream.status();
    connections.Fork(ServeConnection(site, *std::move(stream)));
  }
}

}  // namespace
}  // namespace weft::benchmarks

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s CERTIFICATE KEY ROOT\n", argv[0]);
    return 2;
  }
  return weft::RunMain(weft::benchmarks::Serve(argv[1], argv[2], argv[3]));
}
