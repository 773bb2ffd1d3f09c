// Pipes of the kernel: MakePipe(), and its two ends.
//
//   absl::StatusOr<io::PipeEnds> pipe = io::MakePipe();
//   if (!pipe.ok()) co_return pipe.status();
//   ... give pipe->writer.native_handle() to a child, or to a library ...
//   char buffer[4096];
//   absl::StatusOr<size_t> got = co_await pipe->reader.Read(buffer);   // 0: all writers have closed
//
// An end is an io::Reader or an io::Writer (weft/io/stream.h). Reads and writes park the virtual thread, never the
// carrier. Two threads must not read, or write, at the same time: of a large write, parts would come between each
// other.
//
// Lifetime. An end can be moved, also while operations are pending, which go on. The destructor closes it, and so does
// a move of another one onto it. Any thread may Close() an end that others use: pending operations, and later ones, end
// with io::IsClosed() (closed.h).
//
// SIGPIPE: the first PipeWriter of a process makes the process ignore it, if its action is the default; a write to a
// pipe that nobody reads is kUnavailable (EPIPE). Signals that receive it come first: when they have gone, it is
// ignored. A child that weft::Process starts has the default again.
//
// Cancellation: every operation is a checkpoint. What was read is delivered. A Write() that is cancelled may have
// written a part.
//
// Cost: a call of the kernel at once, if it does not block. A Read() allocates nothing; a Write() allocates one frame.
#ifndef WEFT_IO_PIPE_H_
#define WEFT_IO_PIPE_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/read_call.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft::io {

struct PipeEnds;

// Both ends are in non-blocking mode, and close-on-exec. kResourceExhausted (EMFILE, ENFILE): no descriptors, or no
// memory for the pipe. Any thread may call it.
absl::StatusOr<PipeEnds> MakePipe();

// (lib/io/pipe.cc)
class PipeReader {
 public:
  // Owns `fd` from here on, also if it fails: a pipe, a terminal, a FIFO, or anything else that read(2) and poll(2)
  // take. One that is not open for reading is kInvalidArgument. Sets it to non-blocking mode, which all processes see
  // that have the same open file description (dup(2), fork(2)).
  static absl::StatusOr<PipeReader> Adopt(int fd);

  PipeReader(PipeReader&&) noexcept = default;
  PipeReader& operator=(PipeReader&&) noexcept = default;  // closes what it had

  // Reads what there is: at least one byte, up to buffer.size(). Returns the number of bytes, or 0 if all writers have
  // closed. With an empty buffer it returns 0 at once.
  auto Read(MutableBuffer buffer) { return internal::ReadCall(descriptor_.Use("Read()"), buffer); }

  void Close() noexcept { descriptor_.Close(); }
  bool is_open() const noexcept { return descriptor_.is_open(); }
  // The descriptor, or -1 after a Close(). The reader still owns it.
  int native_handle() const noexcept { return descriptor_.native_handle(); }

 private:
  friend absl::StatusOr<PipeEnds> MakePipe();
  explicit PipeReader(internal::OwnedDescriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}

  internal::OwnedDescriptor descriptor_;
};

// (lib/io/pipe.cc)
class PipeWriter {
 public:
  // As PipeReader::Adopt(), for write(2).
  static absl::StatusOr<PipeWriter> Adopt(int fd);

  PipeWriter(PipeWriter&&) noexcept = default;
  PipeWriter& operator=(PipeWriter&&) noexcept = default;  // closes what it had

  // Writes all of `data`, which must stay until the Task has ended. Up to PIPE_BUF bytes (4,096) arrive in one piece,
  // whoever else writes. kUnavailable (EPIPE) if nobody reads any more.
  Task<absl::Status> Write(ConstBuffer data);
  // Writes all of the parts, one after the other.
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }

  // The reader sees the end when the last writer has closed.
  void Close() noexcept { descriptor_.Close(); }
  bool is_open() const noexcept { return descriptor_.is_open(); }
  // The descriptor, or -1 after a Close(). The writer still owns it.
  int native_handle() const noexcept { return descriptor_.native_handle(); }

 private:
  friend absl::StatusOr<PipeEnds> MakePipe();
  explicit PipeWriter(internal::OwnedDescriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}
  Task<absl::Status> WriteParts(std::span<const ConstBuffer> parts);

  internal::OwnedDescriptor descriptor_;
};

struct PipeEnds {
  PipeReader reader;
  PipeWriter writer;
};

}  // namespace weft::io

#endif  // WEFT_IO_PIPE_H_
