// Goal: whoever links Weft from a plain archive, with whatever build system, has all of it, I/O above all.
// Method: the objects of //:weft in one archive, of which a linker takes only what is referred to; an echo on either
// backend.
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "weft/weft.h"

namespace {

weft::Task<absl::Status> EchoOnce(weft::net::TcpListener& listener) {
  absl::StatusOr<weft::net::TcpStream> stream = co_await listener.Accept();
  if (!stream.ok()) co_return stream.status();
  char buffer[16];
  absl::StatusOr<size_t> got = co_await stream->Read(absl::MakeSpan(buffer));
  if (!got.ok()) co_return got.status();
  co_return co_await stream->Write({buffer, *got});
}

weft::Task<absl::StatusOr<std::string>> Ask(std::string address) {
  absl::StatusOr<weft::net::TcpStream> stream = co_await weft::net::TcpStream::Connect(address);
  if (!stream.ok()) co_return stream.status();
  absl::Status sent = co_await stream->Write("ping");
  if (!sent.ok()) co_return sent;
  std::string answer(4, '\0');
  absl::Status got = co_await stream->ReadExactly(absl::MakeSpan(answer));
  if (!got.ok()) co_return got;
  co_return answer;
}

weft::Task<absl::StatusOr<std::string>> Echo() {
  absl::StatusOr<weft::net::TcpListener> listener = weft::net::TcpListener::Bind("127.0.0.1:0");
  if (!listener.ok()) co_return listener.status();
  weft::ShutdownOnFailure scope;
  scope.Fork(EchoOnce(*listener));
  auto answer = scope.Fork(Ask(listener->local_address()->ToString()));
  absl::Status joined = co_await scope.Join();
  if (!joined.ok()) co_return joined;
  co_return *answer;
}

void ExpectAnEcho(weft::IoBackend io, const char* name) {
  absl::StatusOr<std::unique_ptr<weft::Runtime>> runtime = weft::Runtime::Create({.io = io});
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  EXPECT_EQ((*runtime)->io_backend(), name);
  absl::StatusOr<std::string> answer = (*runtime)->Run(Echo());
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "ping");
}

TEST(ArchiveTest, IoUringIsThere) { ExpectAnEcho(weft::IoBackend::kUring, "io_uring"); }

TEST(ArchiveTest, EpollIsThere) { ExpectAnEcho(weft::IoBackend::kEpoll, "epoll"); }

}  // namespace
