// BufferedReader: lines, records and pieces of any size from a stream that yields whatever has arrived.
//
//   weft::io::BufferedReader in(stream);                         // refers to `stream`; owns it if it is moved in
//   while (true) {
//     absl::StatusOr<std::string_view> line = co_await in.ReadLine({.max_bytes = 8 << 10});
//     if (!line.ok()) co_return weft::io::IsEndOfStream(line.status()) ? absl::OkStatus() : line.status();
//     Handle(*line);                                             // valid until the next call
//   }
//
//   ReadLine, ReadUntil     up to a newline, up to a delimiter
//   ReadExactly             so many bytes: a view, or into memory of the caller's
//   Peek, Consume           look at bytes without taking them; then take some
//   Read                    what there is: it is a Reader itself
//   ReadAll                 everything up to the end
//   Skip                    so many bytes, which nobody wants
//
// Views lie in the buffer. A view is valid until the next call that reads, and while the BufferedReader is not moved.
//
// Nothing is lost. Bytes leave the buffer only when a call yields them. A call that is cancelled, that fails, that
// finds the end too early or no end in time leaves what it has read in the buffer, for the next call. Only Skip() does
// not keep what it was to drop.
//
// Limits. The buffer grows to what a call asks for, by doubling, so memory follows what has arrived and not what a peer
// announces. It shrinks when all has been taken. A line over its limit is kResourceExhausted, as soon as it is known to
// be too long.
//
// Errors: those of the stream, as they are; after one the next call asks the stream again. kOutOfRange at the end, for
// which IsEndOfStream() is true if nothing of what was asked for was there (stream.h). kResourceExhausted: over the
// limit, or no memory.
//
// One virtual thread uses it at a time. What it has buffered is not in the stream any more: read the stream itself only
// before the first call, or when buffered() is 0.
//
// Cancellation: every call is a checkpoint, also if it finds everything in the buffer.
//
// Cost: a call that finds everything in the buffer allocates nothing; otherwise a frame. Each byte is copied once, from
// the kernel, and looked at once for a delimiter, however small the reads are. ReadExactly() into the caller's memory,
// ReadAll() and small Read()s copy once more; a Read() of at least `buffer_size` bytes goes to the stream directly. The
// buffer is allocated at the first read.
//
// Rejected: ReadExactly() that reads into the caller's memory directly. A cancelled caller would not know how much of
// its memory had been filled, and those bytes would be lost.
// (Go's bufio.Reader; Tokio's AsyncBufReadExt, whose read_exact loses bytes when it is cancelled.)
#ifndef WEFT_IO_BUFFERED_READER_H_
#define WEFT_IO_BUFFERED_READER_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/checkpoint.h"
#include "weft/internal/promise.h"
#include "weft/internal/read_buffer.h"
#include "weft/internal/wait.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace weft {

namespace internal {

template <class Stream, class Call>
class BufferedRead;
struct ViewOfBytes;
struct CopyOfBytes;
struct CountOfBytes;
struct BytesCopiedTo;

}  // namespace internal

namespace io {

struct BufferedReaderOptions {
  size_t buffer_size = 8 << 10;  // bytes, at first; 0 is 1
};
struct ReadLineOptions {
  size_t max_bytes = 8 << 10;  // of the line, without its end
};
struct ReadUntilOptions {
  size_t max_bytes = 8 << 10;  // with the delimiter, for which there has to be room also at the end of the stream
};
struct ReadAllOptions {
  size_t max_bytes = 64 << 20;
};

// `Stream` is a reference, or an object that is owned; see the deduction below.
template <class Stream>
class BufferedReader {
  static_assert(Reader<std::remove_reference_t<Stream>>, "a BufferedReader reads from a Reader (weft/io/stream.h)");
  template <class Call>
  using Awaitable = internal::BufferedRead<std::remove_reference_t<Stream>, Call>;

 public:
  explicit BufferedReader(Stream&& stream [[clang::lifetimebound]], BufferedReaderOptions options = {})
    requires std::is_reference_v<Stream>
      : stream_(stream), buffer_(options.buffer_size) {}
  explicit BufferedReader(Stream&& stream, BufferedReaderOptions options = {})
    requires(!std::is_reference_v<Stream>)
      : stream_(std::move(stream)), buffer_(options.buffer_size) {}
  // Not while a call is under way.
  BufferedReader(BufferedReader&&) = default;
  BufferedReader& operator=(BufferedReader&&) = default;

  // Yields absl::StatusOr<std::string_view>: the next line, without its "\n" or "\r\n". The last line need not have
  // an end.
  Awaitable<internal::ViewOfBytes> ReadLine(ReadLineOptions options = {}) noexcept;
  // The same up to any byte, which is yielded too. At the end of the stream what is left is yielded, without it.
  Awaitable<internal::ViewOfBytes> ReadUntil(char delimiter, ReadUntilOptions options = {}) noexcept;
  // Yields absl::StatusOr<std::string_view> of exactly `count` bytes.
  Awaitable<internal::ViewOfBytes> ReadExactly(size_t count) noexcept;
  // Fills `into`, and yields absl::Status.
  Awaitable<internal::BytesCopiedTo> ReadExactly(MutableBuffer into) noexcept;
  // Yields absl::StatusOr<std::string_view>: the next `count` bytes, fewer only if the stream ends before, none at its
  // end. They stay in the buffer.
  Awaitable<internal::ViewOfBytes> Peek(size_t count) noexcept;
  // Drops the first bytes of the buffer. A CHECK if there are fewer. Does not wait.
  void Consume(size_t count) noexcept { buffer_.Consume(count); }
  // Yields absl::StatusOr<size_t>, like the Read() of a stream.
  Awaitable<internal::CountOfBytes> Read(MutableBuffer into) noexcept;
  // Yields absl::StatusOr<std::string>: everything up to the end of the stream.
  Awaitable<internal::CopyOfBytes> ReadAll(ReadAllOptions options = {}) noexcept;
  // Drops `count` bytes of the stream. kOutOfRange if it ends before. If it fails or is cancelled, a part has been
  // dropped.
  Task<absl::Status> Skip(uint64_t count);

  // How many bytes the next call finds without reading.
  size_t buffered() const noexcept { return buffer_.size(); }
  std::remove_reference_t<Stream>& stream() noexcept { return stream_; }

 private:
  using Kind = internal::WantedBytes::Kind;

  Stream stream_;
  internal::ReadBuffer buffer_;
};

// An lvalue is referred to, anything else is owned.
template <class Stream>
BufferedReader(Stream&&, BufferedReaderOptions = {}) -> BufferedReader<Stream>;

}  // namespace io

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// ---- What the calls yield.

struct ViewOfBytes {
  using Result = absl::StatusOr<std::string_view>;
  static Result Of(const WantedBytes&, Result&& bytes) { return std::move(bytes); }
};
struct CopyOfBytes {
  using Result = absl::StatusOr<std::string>;
  static Result Of(const WantedBytes&, const absl::StatusOr<std::string_view>& bytes) {
    if (!bytes.ok()) return bytes.status();
    return std::string(*bytes);
  }
};
struct CountOfBytes {
  using Result = absl::StatusOr<size_t>;
  static Result Of(const WantedBytes& wanted, const absl::StatusOr<std::string_view>& bytes) {
    if (!bytes.ok()) return bytes.status();
    if (wanted.state != WantedBytes::State::kDirect && !bytes->empty()) {
      std::memcpy(wanted.into.data(), bytes->data(), bytes->size());
    }
    return bytes->size();
  }
};
struct BytesCopiedTo {
  using Result = absl::Status;
  static Result Of(const WantedBytes& wanted, const absl::StatusOr<std::string_view>& bytes) {
    return CountOfBytes::Of(wanted, bytes).status();
  }
};

// Reads until `wanted` is settled. Not OK: an error of the stream, or no memory.
template <class Stream>
Task<absl::Status> ReadUntilSettled(Stream& stream, ReadBuffer& buffer, WantedBytes& wanted) {
  while (!buffer.Settle(wanted)) {
    const absl::StatusOr<MutableBuffer> room = buffer.Room(wanted);
    if (!room.ok()) {
      co_await CheckpointAwaiter();  // a read would have been one
      co_return room.status();
    }
    const absl::StatusOr<size_t> got = co_await stream.Read(*room);
    if (!got.ok()) co_return got.status();
    buffer.OnRead(wanted, *got);
  }
  co_return absl::OkStatus();
}

// One call. What it wants is taken out of the buffer when the wait is over, so that a cancelled one takes nothing.
template <class Stream, class Call>
class [[nodiscard("co_await the read")]] BufferedRead : public GivesWhenAwaited<typename Call::Result> {
 public:
  using WeftAwaitable = void;
  using IsAwaitedOnce = void;
  BufferedRead(Stream& stream, ReadBuffer& buffer, const WantedBytes& wanted) noexcept
      : stream_(stream), buffer_(buffer), wanted_(wanted) {}
  // Before it is awaited.
  BufferedRead(BufferedRead&& other) noexcept : BufferedRead(other.stream_, other.buffer_, other.wanted_) {}

  // What has to be read is a checkpoint itself.
  bool await_ready() noexcept {
    is_there_ = buffer_.Settle(wanted_);
    return is_there_ && AtCheckpoint();
  }
  template <WeftPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame,
                                        std::source_location where = std::source_location::current()) {
    if (is_there_) {
      CheckpointAwaiter::Suspend({frame.promise(), where});
      return std::noop_coroutine();
    }
    return TaskAccess::Release(ReadUntilSettled(stream_, buffer_, wanted_), read_, frame.promise(), "co_await")
        .Handle();
  }
  typename Call::Result await_resume() {
    if (!is_there_) {
      if (absl::Status read = read_.Take(); !read.ok()) return read;
    }
    typename Call::Result result = Call::Of(wanted_, buffer_.Find(wanted_));
    buffer_.OnTaken(wanted_);  // not before: to copy it may have thrown
    return result;
  }

 private:
  Stream& stream_;
  ReadBuffer& buffer_;
  WantedBytes wanted_;
  bool is_there_ = false;
  ResultSlot<absl::Status> read_;
};

}  // namespace internal

namespace io {

template <class Stream>
auto BufferedReader<Stream>::ReadLine(ReadLineOptions options) noexcept -> Awaitable<internal::ViewOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kLine, .limit = options.max_bytes}};
}

template <class Stream>
auto BufferedReader<Stream>::ReadUntil(char delimiter, ReadUntilOptions options) noexcept
    -> Awaitable<internal::ViewOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kUntil, .delimiter = delimiter, .limit = options.max_bytes}};
}

template <class Stream>
auto BufferedReader<Stream>::ReadExactly(size_t count) noexcept -> Awaitable<internal::ViewOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kExactly, .limit = count}};
}

template <class Stream>
auto BufferedReader<Stream>::ReadExactly(MutableBuffer into) noexcept -> Awaitable<internal::BytesCopiedTo> {
  return {stream_, buffer_, {.kind = Kind::kExactly, .limit = into.size(), .into = into}};
}

template <class Stream>
auto BufferedReader<Stream>::Peek(size_t count) noexcept -> Awaitable<internal::ViewOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kPeek, .limit = count}};
}

template <class Stream>
auto BufferedReader<Stream>::Read(MutableBuffer into) noexcept -> Awaitable<internal::CountOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kSome, .limit = into.size(), .into = into}};
}

template <class Stream>
auto BufferedReader<Stream>::ReadAll(ReadAllOptions options) noexcept -> Awaitable<internal::CopyOfBytes> {
  return {stream_, buffer_, {.kind = Kind::kAll, .limit = options.max_bytes}};
}

template <class Stream>
Task<absl::Status> BufferedReader<Stream>::Skip(uint64_t count) {
  for (uint64_t left = count;;) {
    const uint64_t dropped = std::min<uint64_t>(left, buffered());
    Consume(static_cast<size_t>(dropped));
    left -= dropped;
    const absl::StatusOr<std::string_view> next = co_await Peek(left > 0 ? 1 : 0);
    if (!next.ok()) co_return next.status();
    if (left == 0) co_return absl::OkStatus();
    if (next->empty() && left == count) co_return EndOfStreamError("Skip()");
    if (next->empty()) co_return absl::OutOfRangeError("Skip(): the stream has ended before the last of the bytes");
  }
}

}  // namespace io

}  // namespace weft

#endif  // WEFT_IO_BUFFERED_READER_H_
