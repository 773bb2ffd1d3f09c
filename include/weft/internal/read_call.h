// Awaits read(2) on a descriptor in non-blocking mode.
#ifndef WEFT_INTERNAL_READ_CALL_H_
#define WEFT_INTERNAL_READ_CALL_H_

#include "weft/internal/compiler.h"

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "weft/internal/descriptor.h"
#include "weft/internal/into_task.h"
#include "weft/internal/operation_awaiter.h"
#include "weft/io/buffer.h"

namespace weft::internal {

// (lib/io/read_call.cc)
class ReadCall : public OperationAwaiter, public GivesWhenAwaited<absl::StatusOr<size_t>> {
 public:
  ReadCall(DescriptorUse use, MutableBuffer buffer) noexcept;
  // Before it is awaited.
  ReadCall(ReadCall&& other) noexcept;

  absl::StatusOr<size_t> await_resume() const;

 private:
  static int32_t Make(int fd, void* self) noexcept;

  MutableBuffer buffer_;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_READ_CALL_H_
