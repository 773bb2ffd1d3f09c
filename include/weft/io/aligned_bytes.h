// AlignedBytes: memory to read into and to write from, at the beginning of a cache line.
//
//   const io::AlignedBytes buffer = io::AllocateAligned(64 << 10);   // null: no memory
//   if (buffer == nullptr) co_return absl::ResourceExhaustedError("no memory for a buffer");
//   absl::StatusOr<size_t> got = co_await file.ReadAt({buffer.get(), 64 << 10}, offset);
//
// Large pieces of memory that malloc() returns, and so a std::vector or a std::string, begin 16 bytes behind the
// beginning of a page. Some processors (AMD's from Zen 3 on) take ten times as long as they need when the kernel copies
// from the beginning of a page to there, as a read of a file does: 620 us a MiB, to a cache line 64. Weft's own buffers
// for reads are aligned. (The copy is the instruction `rep movsb`; it is slow where the destination lies up to some
// 30 bytes behind the source, in pages of 4 KiB.)
#ifndef WEFT_IO_ALIGNED_BYTES_H_
#define WEFT_IO_ALIGNED_BYTES_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace weft::io {

inline constexpr std::align_val_t kBufferAlignment{64};

struct FreeAligned {
  void operator()(char* bytes) const noexcept { ::operator delete[](bytes, kBufferAlignment); }
};
using AlignedBytes = std::unique_ptr<char[], FreeAligned>;

// Not initialized. Null: no memory. Any thread.
[[nodiscard]] inline AlignedBytes AllocateAligned(size_t bytes) noexcept {
  if (bytes > PTRDIFF_MAX) return nullptr;  // which libstdc++ may round up to next to nothing
  return AlignedBytes(static_cast<char*>(::operator new[](bytes, kBufferAlignment, std::nothrow)));
}

}  // namespace weft::io

#endif  // WEFT_IO_ALIGNED_BYTES_H_
