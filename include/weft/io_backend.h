// IoBackend: the part of the kernel that a runtime does its I/O with.
//
//   absl::StatusOr<std::unique_ptr<Runtime>> runtime = Runtime::Create({.io = IoBackend::kEpoll});
//
// RuntimeOptions::io chooses one. WEFT_IO chooses for runtimes that leave it at kAuto. Runtime::io_backend() returns
// the name of the one that a runtime uses. Programs behave the same on both.
#ifndef WEFT_IO_BACKEND_H_
#define WEFT_IO_BACKEND_H_

#include "weft/internal/compiler.h"

#include <cstdint>

namespace weft {

enum class IoBackend : uint8_t {
  // io_uring if every carrier gets at the start what it needs; otherwise epoll, and a line on standard error, once,
  // that says why. A carrier needs the calls to be allowed by the kernel and its filters, two descriptors, and 36 KiB
  // of locked memory (all processes of a user share that limit).
  kAuto,
  // io_uring, or an error of Runtime::Create() if it is refused.
  kUring,
  kEpoll,
};

}  // namespace weft

#endif  // WEFT_IO_BACKEND_H_
