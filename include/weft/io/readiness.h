// WaitReadable and WaitWritable: for descriptors that another library reads and writes itself.
//
//   PGconn* connection = ...;                               // libpq, in non-blocking mode; likewise hiredis, c-ares
//   while (PQisBusy(connection)) {
//     if (absl::Status s = co_await weft::io::WaitReadable(PQsocket(connection)); !s.ok()) co_return s;
//     if (PQconsumeInput(connection) == 0) co_return Error(connection);
//   }
//
// Both return OK as soon as a read (a write) would not block: there are bytes (there is room), or the end or an error
// of the descriptor, which the read (the write) then returns. Another thread may be faster; so the library reads
// without blocking, and waits again.
//
// The descriptor stays the caller's. It may be anything that poll(2) takes, in blocking mode or not: a socket, a pipe,
// a terminal, a pidfd, an eventfd. A regular file is always ready. Any number of virtual threads may wait for one
// descriptor. It may be closed during a wait, which goes on for what the number stood for, and may not end before the
// other side does something; so cancel the wait first.
//
// Errors: kFailedPrecondition (EBADF) if it is not open; kResourceExhausted if it is not ready and the process has no
// further descriptor, which the wait needs for itself (EMFILE), or no memory.
//
// Cancellation: both are checkpoints. Nothing is read or written, so nothing is lost.
//
// Cost: one frame and a poll(2); if that finds nothing, a duplicate of the descriptor (fcntl(2), close(2)), so that the
// wait does not depend on what becomes of the caller's number. 1 to 3 us, beside the wait itself.
#ifndef WEFT_IO_READINESS_H_
#define WEFT_IO_READINESS_H_

#include "weft/internal/compiler.h"

#include "absl/status/status.h"
#include "weft/task.h"

namespace weft::io {

// (lib/io/readiness.cc)
Task<absl::Status> WaitReadable(int fd);
Task<absl::Status> WaitWritable(int fd);

}  // namespace weft::io

#endif  // WEFT_IO_READINESS_H_
