// Copy: moves bytes from any Reader to any Writer. CopyBothWays: does so in both directions, as a proxy does.
//
//   absl::StatusOr<uint64_t> copied = co_await weft::io::Copy(from, to);
//   absl::StatusOr<weft::io::CopiedBothWays> relayed = co_await weft::io::CopyBothWays(client, server);
//
// Copy() reads until the end of `from`, or until it has copied max_bytes; what comes after these is not read. It yields
// how many bytes it has copied, or the first error of either stream. It flushes nothing: after a Copy() to a
// BufferedWriter call Flush().
//
// CopyBothWays() ends the writing direction of one stream when it has read the other one to its end (ShutdownWrite(),
// if the stream has it), and goes on with the other direction. So each peer sees the other's end, and may still answer.
// It yields when both directions have ended. The first failure ends both, and is the result. A stream without
// ShutdownWrite() cannot pass the end on.
//
// Cancellation: both are checkpoints. What was read and not written yet, at most buffer_size bytes in each direction,
// is lost with a Copy() that is cancelled or fails, since the writer may have sent a part of it. What the writer has
// got is a beginning of what was read. `progress` says how much of that is certain.
//
// Cost: a buffer and a frame, and in CopyBothWays() a virtual thread, for each direction.
#ifndef WEFT_IO_COPY_H_
#define WEFT_IO_COPY_H_

#include "weft/internal/compiler.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/all.h"
#include "weft/internal/checkpoint.h"
#include "weft/io/aligned_bytes.h"
#include "weft/io/buffer.h"
#include "weft/io/stream.h"
#include "weft/task.h"

namespace weft {

namespace internal {

absl::Status NoMemoryToCopy(size_t bytes);  // (lib/io/copy.cc)

}  // namespace internal

namespace io {

struct CopyOptions {
  uint64_t max_bytes = std::numeric_limits<uint64_t>::max();
  size_t buffer_size = 64 << 10;  // bytes; 0 is 1
  // If it is not null, how many bytes were written is added to it after each write, also if the Copy() then fails or is
  // cancelled.
  uint64_t* progress = nullptr;
};

// Both streams must outlive it. They may be one stream, whose bytes are then echoed.
template <Reader From, Writer To>
Task<absl::StatusOr<uint64_t>> Copy(From& from [[clang::lifetimebound]], To& to [[clang::lifetimebound]],
                                    CopyOptions options = {});

struct CopiedBothWays {
  uint64_t a_to_b;  // bytes
  uint64_t b_to_a;
};

// Of the options only buffer_size counts.
template <class A, class B>
  requires Reader<A> && Writer<A> && Reader<B> && Writer<B>
Task<absl::StatusOr<CopiedBothWays>> CopyBothWays(A& a [[clang::lifetimebound]], B& b [[clang::lifetimebound]],
                                                  CopyOptions options = {});

}  // namespace io

// ---------------------------------------------------------------------------------------------------------------------

namespace internal {

// Copies all, and passes the end on.
template <class From, class To>
Task<absl::StatusOr<uint64_t>> CopyToTheEnd(From& from, To& to, size_t buffer_size) {
  absl::StatusOr<uint64_t> copied = co_await io::Copy(from, to, {.buffer_size = buffer_size});
  if (!copied.ok()) co_return copied;
  if constexpr (requires { typename decltype(to.ShutdownWrite())::WeftAwaitable; }) {
    if (absl::Status shut = co_await to.ShutdownWrite(); !shut.ok()) co_return shut;
  } else if constexpr (io::HalfCloser<To>) {
    if (absl::Status shut = to.ShutdownWrite(); !shut.ok()) co_return shut;
  }
  co_return copied;
}

}  // namespace internal

namespace io {

template <Reader From, Writer To>
Task<absl::StatusOr<uint64_t>> Copy(From& from, To& to, CopyOptions options) {
  co_await internal::CheckpointAwaiter();  // also if there is nothing to copy
  const size_t size = static_cast<size_t>(
      std::min<uint64_t>(std::max<size_t>(options.buffer_size, 1), std::max<uint64_t>(options.max_bytes, 1)));
  const AlignedBytes memory = AllocateAligned(size);
  if (memory == nullptr) co_return internal::NoMemoryToCopy(size);
  uint64_t copied = 0;
  while (copied < options.max_bytes) {
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(size, options.max_bytes - copied));
    const absl::StatusOr<size_t> got = co_await from.Read(MutableBuffer(memory.get(), wanted));
    if (!got.ok()) co_return got.status();
    if (*got == 0) break;
    if (absl::Status sent = co_await to.Write(ConstBuffer(memory.get(), *got)); !sent.ok()) co_return sent;
    copied += *got;
    if (options.progress != nullptr) *options.progress += *got;
  }
  co_return copied;
}

template <class A, class B>
  requires Reader<A> && Writer<A> && Reader<B> && Writer<B>
Task<absl::StatusOr<CopiedBothWays>> CopyBothWays(A& a, B& b, CopyOptions options) {
  const size_t size = options.buffer_size;
  absl::StatusOr<std::tuple<uint64_t, uint64_t>> copied =
      co_await All(internal::CopyToTheEnd(a, b, size), internal::CopyToTheEnd(b, a, size));
  if (!copied.ok()) co_return copied.status();
  co_return CopiedBothWays{.a_to_b = std::get<0>(*copied), .b_to_a = std::get<1>(*copied)};
}

}  // namespace io

}  // namespace weft

#endif  // WEFT_IO_COPY_H_
