// StandardInput, StandardOutput and StandardError: what the process was started with.
//
//   io::BufferedReader in{io::StandardInput()};
//   while (true) {
//     auto line = co_await in.ReadLine();
//     ...
//     if (absl::Status s = co_await io::StandardOutput().Write(Answer(*line)); !s.ok()) co_return s;
//   }
//
// These descriptors are shared with other processes, a shell above all, so they stay in the mode in which they are: a
// read or a write might block. Therefore a virtual thread first waits until the descriptor is ready, and then makes a
// call that does not wait (RWF_NOWAIT). Terminals and named pipes have none, and other pipes have had one since Linux
// 6.4: there the call is made on an OS thread that may block (weft/blocking.h). Only a terminal that is written is
// opened anew for that, where the system allows it, and does not wait either. No carrier is held, whatever the other
// processes do.
//
// They are values: copies mean the same stream. Nothing is buffered here; beside them, std::cout and printf() work, in
// the order in which these flush. Two threads that write at the same time may write between each other's chunks of
// 4,096 bytes (PIPE_BUF), and anywhere on a terminal whose reader is slow. Nothing is closed.
//
// SIGPIPE: like PipeWriter, the first write makes the process ignore it, if its action is the default; a write that
// nobody reads is kUnavailable (EPIPE).
//
// Cancellation: every operation is a checkpoint, also while it waits. But where the call may block, as above, and
// another process takes the input or the room first, or a terminal has room for a part only, a call that has begun
// waits, and cannot be cancelled. What was read is delivered; a Write() that is cancelled may have written a part.
//
// Cost: a wait for readiness and a call; where that may block, 15 to 25 us more; with a terminal that is written, an
// open(2) and a close(2) instead. Read and write through a buffer.
#ifndef WEFT_IO_STANDARD_STREAMS_H_
#define WEFT_IO_STANDARD_STREAMS_H_

#include "weft/internal/compiler.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft::io {

// (lib/io/standard_streams.cc)
class StandardInput {
 public:
  StandardInput() noexcept = default;
  // For another descriptor that is shared, and stays the caller's.
  explicit StandardInput(int fd) noexcept : fd_(fd) {}

  // Reads what there is: at least one byte, up to buffer.size(). Returns the number of bytes, or 0 at the end.
  Task<absl::StatusOr<size_t>> Read(MutableBuffer buffer);

 private:
  int fd_ = 0;
};

// (lib/io/standard_streams.cc)
class StandardOutput {
 public:
  StandardOutput() noexcept = default;
  // As for StandardInput.
  explicit StandardOutput(int fd) noexcept : fd_(fd) {}

  // Writes all of `data`, which must stay until the Task has ended.
  Task<absl::Status> Write(ConstBuffer data);

 private:
  int fd_ = 1;
};

// (lib/io/standard_streams.cc)
class StandardError : public StandardOutput {
 public:
  StandardError() noexcept : StandardOutput(2) {}
};

}  // namespace weft::io

#endif  // WEFT_IO_STANDARD_STREAMS_H_
