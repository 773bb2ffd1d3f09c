#include "weft/io/memory_stream.h"

#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/base/errno_status.h"
#include "weft/internal/byte_pipe.h"
#include "weft/internal/check.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace weft {

namespace internal {

absl::Status PipeStatus(int error, const char* what) { return ErrnoToStatus(error, what); }

}  // namespace internal

namespace io {

using internal::BytePipe;
using internal::MemoryConnection;

std::pair<MemoryStream, MemoryStream> MemoryStream::Pair(MemoryStreamOptions options) {
  auto connection = std::make_shared<MemoryConnection>(options.capacity);
  return {MemoryStream(connection, 0), MemoryStream(connection, 1)};
}

MemoryStream::MemoryStream(std::shared_ptr<MemoryConnection> connection, int end) noexcept
    : connection_(std::move(connection)), end_(end) {}

MemoryStream& MemoryStream::operator=(MemoryStream&& other) noexcept {
  if (this == &other) return *this;
  Close();
  connection_ = std::move(other.connection_);
  end_ = other.end_;
  return *this;
}

std::shared_ptr<BytePipe> MemoryStream::in() const noexcept {
  WEFT_CHECK(connection_ != nullptr) << "a MemoryStream is used that was moved from";
  return std::shared_ptr<BytePipe>(connection_, &connection_->pipes[1 - end_]);
}

std::shared_ptr<BytePipe> MemoryStream::out() const noexcept {
  WEFT_CHECK(connection_ != nullptr) << "a MemoryStream is used that was moved from";
  return std::shared_ptr<BytePipe>(connection_, &connection_->pipes[end_]);
}

internal::PipeReadAwaiter MemoryStream::Read(MutableBuffer buffer) noexcept { return {in(), buffer}; }

internal::PipeWriteAwaiter MemoryStream::Write(ConstBuffer data) noexcept { return {out(), data}; }

// These refer to the pipe and not to the stream, which may be moved or destroyed meanwhile.

Task<absl::Status> MemoryStream::ReadExactly(MutableBuffer buffer) {
  return [](std::shared_ptr<BytePipe> pipe, MutableBuffer rest) -> Task<absl::Status> {
    for (bool first = true; first || !rest.empty(); first = false) {
      const absl::StatusOr<size_t> got = co_await internal::PipeReadAwaiter(pipe, rest);
      if (!got.ok()) co_return got.status();
      if (*got == 0 && !rest.empty() && first) co_return EndOfStreamError("ReadExactly()");
      if (*got == 0 && !rest.empty()) {
        co_return absl::OutOfRangeError(absl::StrCat("the stream ended with ", rest.size(), " bytes still to read"));
      }
      rest.remove_prefix(*got);
    }
    co_return absl::OkStatus();
  }(in(), buffer);
}

Task<absl::Status> MemoryStream::WriteParts(std::span<const ConstBuffer> parts) {
  return [](std::shared_ptr<BytePipe> pipe, std::span<const ConstBuffer> rest) -> Task<absl::Status> {
    if (rest.empty()) co_await internal::CheckpointAwaiter();
    for (const ConstBuffer part : rest) {
      absl::Status sent = co_await internal::PipeWriteAwaiter(pipe, part);
      if (!sent.ok()) co_return sent;
    }
    co_return absl::OkStatus();
  }(out(), parts);
}

Task<absl::Status> MemoryStream::WaitHangUp() {
  return [](std::shared_ptr<BytePipe> pipe) -> Task<absl::Status> {
    co_await pipe->ended().Wait();
    co_return internal::PipeStatus(pipe->reader_is_closed() ? EBADF : 0, "WaitHangUp()");
  }(in());
}

absl::Status MemoryStream::ShutdownWrite() {
  const std::shared_ptr<BytePipe> pipe = out();
  if (pipe->writer_is_closed()) return internal::PipeStatus(EBADF, "shutdown");
  pipe->ShutdownWriter();
  return absl::OkStatus();
}

void MemoryStream::Shutdown() noexcept {
  out()->ShutdownWriter();
  in()->ShutdownReader();
}

void MemoryStream::Close() noexcept {
  if (connection_ == nullptr) return;
  out()->CloseWriter();
  in()->CloseReader();
}

// Asks for what Close() ends last: once it is false, no operation begins.
bool MemoryStream::is_open() const noexcept { return connection_ != nullptr && !in()->reader_is_closed(); }

}  // namespace io

}  // namespace weft
