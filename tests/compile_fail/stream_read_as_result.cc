// The result of a read that nobody awaits.
// expect: co_await it: nothing was waited for
#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(weft::net::TcpStream stream, absl::Span<char> buffer) {
#ifdef MISUSE
  absl::StatusOr<size_t> got = stream.Read(buffer);
#else
  absl::StatusOr<size_t> got = co_await stream.Read(buffer);
#endif
  co_return got.status();
}
