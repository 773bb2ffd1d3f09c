// MemoryStream: one end of a connection in memory. For tests of protocols, and between parts of a program that speak
// through streams.
//
//   auto [client, server] = weft::io::MemoryStream::Pair();
//   scope.Fork(Serve(std::move(server)));
//   absl::Status sent = co_await client.Write("GET / HTTP/1.1\r\n\r\n");
//
// It behaves like a TcpStream, with the same functions, and needs no kernel: in a Simulation it works without I/O.
// What one end writes the other reads, in order. `capacity` bytes may be on their way in
// each direction; a Write() of more waits for reads that take them.
//
// One virtual thread may read while another writes. Two threads must not read, or write, at the same time.
//
// Closing. ShutdownWrite(): the peer reads what is on its way, and then 0; later writes of this end fail with EPIPE.
// Close(), the destructor, or a move onto the stream: the peer reads the same, and its writes fail with EPIPE; what was
// on its way to this end is dropped; operations of this end, also those that wait, end with EBADF, for which
// io::IsClosed() is true. Unlike with TCP, a peer is not reset by bytes that were not read. Any thread may close or
// shut down a stream that others use.
//
// Lifetime. It can be moved, also while operations are under way, which go on.
// Cancellation: every operation is a checkpoint, also on an empty buffer. A read that is cancelled has taken nothing; a
// write that is cancelled may have sent a part.
// Memory ordering: what came before a Write() happens before what follows the Read() that got its last byte.
// Cost: a read, or a write of one buffer, allocates nothing. A write to a reader that waits copies each byte once,
// otherwise each is copied twice. Bytes are copied under a lock, which holds the peer up if it comes at that time.
// (Go's net.Pipe, which has no buffer; Tokio's duplex.)
#ifndef WEFT_IO_MEMORY_STREAM_H_
#define WEFT_IO_MEMORY_STREAM_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <source_location>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/byte_pipe.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/io/buffer.h"
#include "weft/task.h"

namespace weft {

namespace internal {

struct MemoryConnection;
class PipeReadAwaiter;
class PipeWriteAwaiter;

}  // namespace internal

namespace io {

struct MemoryStreamOptions {
  // Bytes in each direction. 0: every write waits until reads have taken all of it.
  size_t capacity = 64 << 10;
};

class MemoryStream {
 public:
  // Two ends that are connected.
  static std::pair<MemoryStream, MemoryStream> Pair(MemoryStreamOptions options = {});

  MemoryStream(MemoryStream&& other) noexcept = default;
  MemoryStream& operator=(MemoryStream&& other) noexcept;  // closes what it had
  ~MemoryStream() { Close(); }

  // Reads what there is: at least one byte, up to buffer.size(). Yields absl::StatusOr<size_t>: the number of bytes, or
  // 0 if the peer has finished writing. With an empty buffer it yields 0 at once.
  internal::PipeReadAwaiter Read(MutableBuffer buffer) noexcept;
  // Writes all of `data`, which must stay until the wait is over. Yields absl::Status.
  internal::PipeWriteAwaiter Write(ConstBuffer data) noexcept;
  // Writes all of the parts, one after the other. The parts, and the array of them, must stay until the Task has ended.
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }

  // Tells the peer that nothing more will be written; reading goes on. EBADF after a Close().
  absl::Status ShutdownWrite();
  // Idempotent.
  void Close() noexcept;
  // False after a Close().
  bool is_open() const noexcept;

 private:
  MemoryStream(std::shared_ptr<internal::MemoryConnection> connection, int end) noexcept;
  Task<absl::Status> WriteParts(std::span<const ConstBuffer> parts);
  // Of which this end is the reader, the writer. They keep the connection.
  std::shared_ptr<internal::BytePipe> in() const noexcept;
  std::shared_ptr<internal::BytePipe> out() const noexcept;

  std::shared_ptr<internal::MemoryConnection> connection_;  // null: moved from
  int end_ = 0;                                             // 0 or 1
};

}  // namespace io

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

struct MemoryConnection {
  explicit MemoryConnection(size_t capacity) : pipes{BytePipe(capacity), BytePipe(capacity)} {}
  BytePipe pipes[2];  // end 0 writes to the first, end 1 to the second
};

// The error of an operation on a MemoryStream as a status. (memory_stream.cc)
absl::Status PipeStatus(int error, const char* what);

class PipeAwaiter {
 public:
  using WeftAwaitable = void;
  // Before it is awaited.
  PipeAwaiter(PipeAwaiter&& other) noexcept : pipe_(std::move(other.pipe_)), party_(other.party_) {}

  bool await_ready() noexcept { return AtCheckpoint() && pipe_->Try(party_); }
  template <WeftPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> frame,
                     std::source_location where = std::source_location::current()) noexcept {
    pipe_->Suspend(party_, {frame.promise(), where});
  }

 protected:
  PipeAwaiter(std::shared_ptr<BytePipe> pipe, MutableBuffer into) noexcept
      : pipe_(std::move(pipe)), party_{pipe_.get(), /*writes=*/false, into.data(), nullptr, into.size()} {}
  PipeAwaiter(std::shared_ptr<BytePipe> pipe, ConstBuffer from) noexcept
      : pipe_(std::move(pipe)), party_{pipe_.get(), /*writes=*/true, nullptr, from.data(), from.size()} {}
  const PipeParty& party() const noexcept { return party_; }

 private:
  std::shared_ptr<BytePipe> pipe_;  // the stream may be gone before the operation has ended
  PipeParty party_;
};

class [[nodiscard("co_await the read")]] PipeReadAwaiter : public PipeAwaiter,
                                                           public GivesWhenAwaited<absl::StatusOr<size_t>> {
 public:
  PipeReadAwaiter(std::shared_ptr<BytePipe> pipe, MutableBuffer buffer) noexcept
      : PipeAwaiter(std::move(pipe), buffer) {}
  absl::StatusOr<size_t> await_resume() const {
    if (party().error != 0) return PipeStatus(party().error, "read");
    return party().moved;
  }
};

class [[nodiscard("co_await the write")]] PipeWriteAwaiter : public PipeAwaiter, public GivesWhenAwaited<absl::Status> {
 public:
  PipeWriteAwaiter(std::shared_ptr<BytePipe> pipe, ConstBuffer data) noexcept
      : PipeAwaiter(std::move(pipe), data) {}
  absl::Status await_resume() const { return PipeStatus(party().error, "write"); }
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_IO_MEMORY_STREAM_H_
