// IsClosed: did an operation end because this program has closed its descriptor?
//
//   absl::StatusOr<TcpStream> stream = co_await listener.Accept();
//   if (io::IsClosed(stream.status())) co_return absl::OkStatus();   // another thread stopped the server
//
// A Close(), the destructor, or a move onto the object ends the operations that other virtual threads have pending on a
// descriptor. Shutdown() of a listener does so, too. Their status is kFailedPrecondition with the errno EBADF, which no
// other error of Weft's descriptors has. Operations that begin later end with the same status. So a thread that closes
// one need not tell the threads that use it. (Go's net.ErrClosed and os.ErrClosed.)
#ifndef WEFT_IO_CLOSED_H_
#define WEFT_IO_CLOSED_H_

#include "weft/internal/compiler.h"

#include <cerrno>

#include "absl/status/status.h"
#include "weft/errno.h"

namespace weft::io {

inline bool IsClosed(const absl::Status& status) { return ErrnoOf(status) == EBADF; }

}  // namespace weft::io

#endif  // WEFT_IO_CLOSED_H_
