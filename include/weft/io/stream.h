// Reader and Writer: what a stream of bytes must have, so that the functions of weft/io/ work on it.
//
//   template <weft::io::Reader Stream>
//   weft::Task<absl::Status> Print(Stream& from) {
//     char buffer[4096];
//     while (true) {
//       absl::StatusOr<size_t> got = co_await from.Read(buffer);
//       if (!got.ok() || *got == 0) co_return got.status();
//       std::fwrite(buffer, 1, *got, stdout);
//     }
//   }
//
// A stream is any class with these functions; it derives from nothing. Each returns an awaitable of Weft's: a Task, or
// something cheaper.
//
//   Reader          Read(MutableBuffer)                  absl::StatusOr<size_t>; 0: the end
//   Writer          Write(ConstBuffer)                   absl::Status; writes all
//   VectoredWriter  Write(std::span<const ConstBuffer>)  absl::Status; writes every part, in this order
//   HalfCloser      ShutdownWrite()                      absl::Status, at once or awaited; ends the writing direction
//
// A Read() waits for at least one byte and takes what there is. It yields 0 only at the end of the stream, or for an
// empty buffer. At most one Read() and one Write() of a stream are under way at a time.
//
// The end of a stream is no error to Read(), but it is to callers that want more: BufferedReader says kOutOfRange. The
// status carries a payload of its own, so that no other kOutOfRange is taken for it: IsEndOfStream(). It means that
// the stream has ended where it may, before the first byte of what was asked for. A stream that ends in the middle
// gives a kOutOfRange that is not IsEndOfStream(). (Go's io.EOF and io.ErrUnexpectedEOF.)
//
// Cancellation: every call is a checkpoint, and either completes or is cancelled. A Read() that is cancelled has taken
// nothing from the stream. A Write() that is cancelled may have written a part.
#ifndef WEFT_IO_STREAM_H_
#define WEFT_IO_STREAM_H_

#include "weft/internal/compiler.h"

#include <concepts>
#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/internal/into_task.h"
#include "weft/io/buffer.h"
#include "weft/text_view.h"

namespace weft::io {

// An awaitable, for a Task, that yields a T.
template <class A, class T>
concept Yields = internal::IntoTask<A> && std::same_as<internal::ValueOf<A>, T>;

template <class T>
concept Reader = requires(T& stream, MutableBuffer buffer) {
  { stream.Read(buffer) } -> Yields<absl::StatusOr<size_t>>;
};

template <class T>
concept Writer = requires(T& stream, ConstBuffer data) {
  { stream.Write(data) } -> Yields<absl::Status>;
};

template <class T>
concept VectoredWriter = Writer<T> && requires(T& stream, std::span<const ConstBuffer> parts) {
  { stream.Write(parts) } -> Yields<absl::Status>;
};

template <class T>
concept HalfCloser = requires(T& stream) {
  { stream.ShutdownWrite() } -> std::same_as<absl::Status>;
} || requires(T& stream) {
  { stream.ShutdownWrite() } -> Yields<absl::Status>;
};

// kOutOfRange, "<what>: the stream has ended", for which IsEndOfStream() is true. For streams of one's own.
absl::Status EndOfStreamError(TextView what);

// True if `status` says that the stream has ended, and that nothing of what was asked for was there.
bool IsEndOfStream(const absl::Status& status);

}  // namespace weft::io

#endif  // WEFT_IO_STREAM_H_
