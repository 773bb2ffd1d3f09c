// A read that nobody awaits.
// expect: co_await the read
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "weft/weft.h"

weft::Task<absl::Status> Caller(weft::net::TcpStream stream, absl::Span<char> buffer) {
#ifdef MISUSE
  stream.Read(buffer);
#endif
  co_return (co_await stream.Read(buffer)).status();
}
