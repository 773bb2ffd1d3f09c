// MemoryStream: one end of a connection in memory. For tests of protocols, and between parts of a program that speak
// through streams.
//
//   auto [client, server] = weft::io::MemoryStream::Pair();
//   scope.Fork(Serve(std::move(server)));
//   absl::Status sent = co_await client.Write("GET / HTTP/1.1\r\n\r\n");
//
// It behaves like a TcpStream, and needs no kernel: in a Simulation it works without I/O. It has the functions of a
// TcpStream, except those about its descriptor and its addresses, so a handler that is a template over its stream can
// be tested with it. What one end writes the other reads, in order. `capacity` bytes may be on their way in each
// direction; a Write() of more waits for reads that take them.
//
// One virtual thread may read while another writes. Two threads must not read, or write, at the same time.
//
// Closing. ShutdownWrite(): the peer reads what is on its way, and then 0; writes of this end, also those that wait,
// fail with EPIPE. Shutdown(): the peer's writes fail with EPIPE as well, and this end reads what is on its way, and
// then 0. Close(), the destructor, or a move onto the stream: the same for the peer; what was on its way to this end is
// dropped; operations of this end, also those that wait, end with EBADF, for which io::IsClosed() is true. Unlike with
// TCP, a peer is not reset by bytes that were not read. Any thread may close or shut down a stream that others use.
//
// Lifetime. It can be moved, also while operations are under way, which go on.
// Cancellation: every operation is a checkpoint, also on an empty buffer. A read that is cancelled has taken nothing; a
// write that is cancelled may have sent a part.
// Memory ordering: what came before a Write() happens before what follows the Read() that got its last byte.
// Cost: a Read(), or a Write() of one buffer, allocates nothing; other calls that are awaited allocate a frame. A write
// to a reader that waits copies each byte once, otherwise each is copied twice. Bytes are copied under a lock, which
// holds the peer up if it comes at that time.
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
  // Fills the buffer; kOutOfRange if the stream ends before, for which io::IsEndOfStream() is true if it ends at once.
  // With an empty buffer it succeeds at once. Cancelled, it loses what it has read; an io::BufferedReader does not.
  Task<absl::Status> ReadExactly(MutableBuffer buffer);
  // Writes all of `data`, which must stay until the wait is over. Yields absl::Status.
  internal::PipeWriteAwaiter Write(ConstBuffer data) noexcept;
  // Writes all of the parts, one after the other. The parts, and the array of them, must stay until the Task has ended.
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
  Task<absl::Status> Write(const Parts& parts) {
    return WriteParts(parts);
  }

  // Returns when the peer has finished writing, or this end was shut down: for a handler that works for a client that
  // may lose interest, in a Race() with the work. Reads nothing: a Read() may be pending, and finds what has come.
  // Errors: io::IsClosed() after a Close() of this end.
  Task<absl::Status> WaitHangUp();

  // Tells the peer that nothing more will be written; reading goes on. EBADF after a Close().
  absl::Status ShutdownWrite();
  // Ends both directions at once. Pending reads return 0; pending writes, of both ends, fail with EPIPE. The stream
  // stays open.
  void Shutdown() noexcept;
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
  using IsAwaitedOnce = void;
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
