// BufferedWriter: many small writes become few large ones.
//
//   weft::io::BufferedWriter out(stream);                        // refers to `stream`; owns it if it is moved in
//   if (absl::Status s = co_await out.Write("HTTP/1.1 200 OK\r\n"); !s.ok()) co_return s;
//   if (absl::Status s = co_await out.Write(body); !s.ok()) co_return s;
//   co_return co_await out.Flush();                              // nothing is sent before, unless the buffer is full
//
// A Write() that finds room is kept in the buffer. One that finds none goes out at once, together with what is
// buffered: by one vectored write if the stream has that, and then no byte of it is copied; otherwise the buffer goes
// first. Flush() sends what is buffered. The order of the bytes is that of the calls.
//
// Errors stick. After a write to the stream has failed, nobody knows how much of the bytes has arrived; they are
// dropped, and each later Write() and Flush() yields the same status, without asking the stream. So a sequence of calls
// may look at the last status only. kResourceExhausted for want of memory does not stick: nothing was taken.
//
// Cancellation: each call is a checkpoint, also if it only copies. A call that is cancelled before it sends has done
// nothing: what was buffered still is, and a Write() has taken none of its bytes. A call that is cancelled while it
// sends may have sent any part. What the stream has got is then a beginning of what was written, and the writer takes
// no more: it yields kAborted. So no byte is sent twice, and none after a gap.
//
// The destructor sends nothing, since it cannot wait: bytes that were not flushed are lost, without a word. That is no
// CHECK, because a cancelled thread leaves like this, and so does a function that returns an error of another kind. So
// flush on the path that ends well. (Go's bufio.Writer and Tokio's BufWriter do the same.)
//
// One virtual thread uses it at a time. A reader of the same stream may be used by another.
//
// Cost: a Write() that finds room, and a Flush() of nothing, allocate nothing; otherwise a frame. The buffer is
// allocated at the first byte, and kept.
#ifndef WEFT_IO_BUFFERED_WRITER_H_
#define WEFT_IO_BUFFERED_WRITER_H_

#include "weft/internal/compiler.h"

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <span>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/promise.h"
#include "weft/internal/wait.h"
#include "weft/internal/write_buffer.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace weft {

namespace internal {

template <class Stream>
class BufferedWrite;

}  // namespace internal

namespace io {

struct BufferedWriterOptions {
  size_t buffer_size = 8 << 10;  // bytes; 0: nothing is buffered
};

// `Stream` is a reference, or an object that is owned; see the deduction below.
template <class Stream>
class BufferedWriter {
  static_assert(Writer<std::remove_reference_t<Stream>>, "a BufferedWriter writes to a Writer (weft/io/stream.h)");
  using Awaitable = internal::BufferedWrite<std::remove_reference_t<Stream>>;

 public:
  explicit BufferedWriter(Stream&& stream [[clang::lifetimebound]], BufferedWriterOptions options = {})
    requires std::is_reference_v<Stream>
      : stream_(stream), buffer_(options.buffer_size) {}
  explicit BufferedWriter(Stream&& stream, BufferedWriterOptions options = {})
    requires(!std::is_reference_v<Stream>)
      : stream_(std::move(stream)), buffer_(options.buffer_size) {}
  // Not while a call is under way.
  BufferedWriter(BufferedWriter&&) = default;
  BufferedWriter& operator=(BufferedWriter&&) = default;

  // Takes all of `data`, which must stay until the wait is over. Yields absl::Status.
  Awaitable Write(ConstBuffer data) noexcept;
  // Sends what is buffered. Yields absl::Status.
  Awaitable Flush() noexcept;

  // How many bytes a Flush() would send.
  size_t buffered() const noexcept { return buffer_.size(); }
  // The error that sticks, or OK.
  absl::Status status() const { return buffer_.status(); }
  std::remove_reference_t<Stream>& stream() noexcept { return stream_; }

 private:
  Stream stream_;
  internal::WriteBuffer buffer_;
};

// An lvalue is referred to, anything else is owned.
template <class Stream>
BufferedWriter(Stream&&, BufferedWriterOptions = {}) -> BufferedWriter<Stream>;

}  // namespace io

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Sends what is buffered, and then `data`.
template <class Stream>
Task<absl::Status> SendBuffered(Stream& stream, WriteBuffer& buffer, ConstBuffer data) {
  co_await CheckpointAwaiter();  // a request that came before this finds nothing on its way
  if (buffer.size() > 0) {
    SendInProgress sending(buffer);
    if constexpr (io::VectoredWriter<Stream>) {
      if (!data.empty()) {
        const ConstBuffer parts[] = {buffer.bytes(), data};
        co_return sending.Ended(co_await stream.Write(std::span<const ConstBuffer>(parts)));
      }
    }
    absl::Status sent = sending.Ended(co_await stream.Write(buffer.bytes()));
    if (!sent.ok()) co_return sent;
  }
  if (buffer.HasRoomFor(data.size())) co_return buffer.Append(data);
  SendInProgress sending(buffer);
  co_return sending.Ended(co_await stream.Write(data));
}

// A Write(), or a Flush(). What is only copied is copied when the wait is over, so that a cancelled call takes nothing.
template <class Stream>
class [[nodiscard("co_await the write")]] BufferedWrite : public GivesWhenAwaited<absl::Status> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  BufferedWrite(Stream& stream, WriteBuffer& buffer, ConstBuffer data, bool flushes) noexcept
      : stream_(stream), buffer_(buffer), data_(data), flushes_(flushes) {}
  // Before it is awaited.
  BufferedWrite(BufferedWrite&& other) noexcept
      : BufferedWrite(other.stream_, other.buffer_, other.data_, other.flushes_) {}

  bool await_ready() noexcept {
    sends_ = buffer_.takes_more() && (flushes_ ? buffer_.size() > 0 : !buffer_.HasRoomFor(data_.size()));
    return !sends_ && AtCheckpoint();
  }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame,
                                        std::source_location where = std::source_location::current()) {
    if (!sends_) {
      CheckpointAwaiter::Suspend({frame.promise(), where});
      return std::noop_coroutine();
    }
    return TaskAccess::Release(SendBuffered(stream_, buffer_, data_), sent_, frame.promise(), "co_await").Handle();
  }
  absl::Status await_resume() { return sends_ ? sent_.Take() : buffer_.Append(data_); }

 private:
  Stream& stream_;
  WriteBuffer& buffer_;
  const ConstBuffer data_;
  const bool flushes_;
  bool sends_ = false;
  ResultSlot<absl::Status> sent_;
};

}  // namespace internal

namespace io {

template <class Stream>
auto BufferedWriter<Stream>::Write(ConstBuffer data) noexcept -> Awaitable {
  return {stream_, buffer_, data, /*flushes=*/false};
}

template <class Stream>
auto BufferedWriter<Stream>::Flush() noexcept -> Awaitable {
  return {stream_, buffer_, ConstBuffer(), /*flushes=*/true};
}

}  // namespace io

}  // namespace weft

#endif  // WEFT_IO_BUFFERED_WRITER_H_
