// Split: makes two halves of a stream, for a virtual thread that reads and another that writes.
//
//   auto [reader, writer] = weft::io::Split(std::move(stream));
//   scope.Fork([half = std::move(reader)]() mutable { return Receive(half); });
//   scope.Fork([half = std::move(writer)]() mutable { return Send(half); });
//
// Each half belongs to one thread, and can be moved to another. They share the stream, which goes with the second of
// them. A ShutdownWrite() of the WriteHalf ends the writing direction: the peer reads to the end. When the ReadHalf
// goes, nothing happens to the stream.
//
// A stream is anything with Read(), Write() and ShutdownWrite() (stream.h). What happens when a WriteHalf goes depends
// on whether that ShutdownWrite() has to be awaited, which a destructor cannot do:
//
//   returns absl::Status   TcpStream, UnixStream, MemoryStream   the direction ends, as by ShutdownWrite()
//   is awaited             tls::Stream                           nothing, until the stream goes or is closed
//
// So with a stream of the second kind await ShutdownWrite() before the half goes. Otherwise the peer waits for more
// while the ReadHalf lives, and then finds the stream cut off: over TLS that is kDataLoss.
//
// To use a stream from two threads within one function, no halves are needed: one may read while the other writes.
//
// Lifetime: a half must outlive its operations, as a stream must that does not say otherwise. To end the other half's
// operations, Close() the stream: half.stream().Close().
// Cost: one allocation; a half is one pointer.
// (Tokio's into_split.)
#ifndef WEFT_IO_SPLIT_H_
#define WEFT_IO_SPLIT_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/internal/check.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"

namespace weft::io {

template <class T>
concept Splittable = Reader<T> && Writer<T> && HalfCloser<T> && std::is_object_v<T>;

template <Splittable Stream>
class ReadHalf;
template <Splittable Stream>
class WriteHalf;

template <Splittable Stream>
std::pair<ReadHalf<Stream>, WriteHalf<Stream>> Split(Stream stream);

// A Reader.
template <Splittable Stream>
class ReadHalf {
 public:
  ReadHalf(ReadHalf&&) noexcept = default;
  ReadHalf& operator=(ReadHalf&&) noexcept = default;

  // That of the stream.
  auto Read(MutableBuffer buffer) { return stream().Read(buffer); }
  // Both halves'. A CHECK if this one was moved from.
  Stream& stream() const noexcept {
    WEFT_CHECK(stream_ != nullptr) << "a ReadHalf is used that was moved from";
    return *stream_;
  }

 private:
  friend std::pair<ReadHalf, WriteHalf<Stream>> Split<Stream>(Stream stream);
  explicit ReadHalf(std::shared_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}

  std::shared_ptr<Stream> stream_;
};

// A Writer, and vectored if the stream is.
template <Splittable Stream>
class WriteHalf {
 public:
  WriteHalf(WriteHalf&&) noexcept = default;
  WriteHalf& operator=(WriteHalf&& other) noexcept {
    if (this == &other) return *this;
    EndWriting();
    stream_ = std::move(other.stream_);
    return *this;
  }
  ~WriteHalf() { EndWriting(); }

  // Those of the stream.
  auto Write(ConstBuffer data) { return stream().Write(data); }
  template <std::convertible_to<std::span<const ConstBuffer>> Parts>
    requires VectoredWriter<Stream>
  auto Write(const Parts& parts) {
    return stream().Write(std::span<const ConstBuffer>(parts));
  }
  auto ShutdownWrite() { return stream().ShutdownWrite(); }
  // Both halves'. A CHECK if this one was moved from.
  Stream& stream() const noexcept {
    WEFT_CHECK(stream_ != nullptr) << "a WriteHalf is used that was moved from";
    return *stream_;
  }

 private:
  friend std::pair<ReadHalf<Stream>, WriteHalf> Split<Stream>(Stream stream);
  explicit WriteHalf(std::shared_ptr<Stream> stream) noexcept : stream_(std::move(stream)) {}
  // If that does not wait. An error says that the peer, or this program, has ended the connection before: the direction
  // has ended then, too. The words of it may find no memory; nobody would have read them.
  void EndWriting() noexcept {
    if constexpr (std::same_as<decltype(stream_->ShutdownWrite()), absl::Status>) {
      if (stream_ == nullptr) return;
#if WEFT_EXCEPTIONS
      try {
        static_cast<void>(stream_->ShutdownWrite());
      } catch (const std::bad_alloc&) {
      }
#else
      static_cast<void>(stream_->ShutdownWrite());
#endif
    }
  }

  std::shared_ptr<Stream> stream_;  // null: moved from
};

// ---------------------------------------------------------------------------------------------------------------------

template <Splittable Stream>
std::pair<ReadHalf<Stream>, WriteHalf<Stream>> Split(Stream stream) {
  auto shared = std::make_shared<Stream>(std::move(stream));
  return {ReadHalf<Stream>(shared), WriteHalf<Stream>(shared)};
}

}  // namespace weft::io

#endif  // WEFT_IO_SPLIT_H_
